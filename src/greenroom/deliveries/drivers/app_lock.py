"""A lock that spans several transactions, so that only one worker at a time decides and executes an app's next step.

A session-level PostgreSQL advisory lock: it ends with the process, even after a crash.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

NUMBER = 0x67726C6F
"""First key of the advisory locks; the second is the hash of the name."""


@contextmanager
def holding_lock(name: str) -> Iterator[bool]:
    """Acquire the lock without waiting. Yields whether it was free, and releases it at the end of the block."""
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
