"""A lock that lasts over several transactions: one worker at a time asks the rules about an app's deliveries and
carries a step out.

PostgreSQL keeps it for the session, so it ends with the process that holds it, however that dies.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

NUMBER = 0x67726C6F
"""The first key of these advisory locks; the second is the name's hash."""


@contextmanager
def holding_lock(name: str) -> Iterator[bool]:
    """Whether the lock was free; it is held until the end of the block. Never waits."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [NUMBER, name])
        row = cursor.fetchone()
    if not (row and row[0]):
        yield False
        return
    try:
        yield True
    finally:
        if connection.connection is not None and not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [NUMBER, name])
