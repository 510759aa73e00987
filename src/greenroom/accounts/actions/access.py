"""Tells the processes that somebody has lost access: they end what that account has open, without polling."""

from __future__ import annotations

from django.db import connection

CHANNEL = "greenroom_access"


def changed() -> None:
    """Notify web and worker once this transaction commits. A process that was not listening reads the rows at its
    start.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
