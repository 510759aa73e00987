"""Wakes the worker: rows are the queue, and NOTIFY shortens the wait."""

from __future__ import annotations

from django.db import connection

CHANNEL = "greenroom_deliveries"


def wake() -> None:
    """Tell the worker that there is something to do, once this transaction commits."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
