"""A database that is away for a moment: reads are tried again for some seconds, and what cannot be answered is a 503
that says when to come back.

Two changes that meet are another matter: the database ends one of them, which has changed nothing and is answered 409.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from django.db import InterfaceError, OperationalError, connection, connections
from django.http import HttpRequest, HttpResponse

BROKEN = (OperationalError, InterfaceError)
"""What a lost or refused connection raises, a full pool's too."""
PAUSES = (0.2, 0.6, 1.2, 2.5)
RETRY_AFTER = 3
_waiting = threading.BoundedSemaphore(32)
"""Requests that wait for the database at once; others are answered 503 at once."""


def tried_again(request: HttpRequest, answer: Callable[[], HttpResponse]) -> HttpResponse:
    """The answer; of a read also when the database comes back meanwhile. Raises what the last try raised."""
    try:
        return answer()
    except BROKEN:
        if request.method not in ("GET", "HEAD") or connection.in_atomic_block or not _waiting.acquire(blocking=False):
            raise
    try:
        for pause in PAUSES:
            connections.close_all()
            time.sleep(pause)
            try:
                return answer()
            except BROKEN:
                continue
        connections.close_all()
        return answer()
    finally:
        _waiting.release()
