"""Handles short database outages: retries reads for some seconds, otherwise responds 503 with Retry-After.

Deadlocks and serialization failures are different: the database aborts one transaction, and the response is 409.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from django.db import InterfaceError, OperationalError, connection, connections
from django.http import HttpRequest, HttpResponse

BROKEN = (OperationalError, InterfaceError)
"""Exceptions of a lost or refused connection, or of an exhausted pool."""
PAUSES = (0.2, 0.6, 1.2, 2.5)
RETRY_AFTER = 3
_waiting = threading.BoundedSemaphore(32)
"""Maximum number of requests that wait for the database; others get 503 immediately."""


def tried_again(request: HttpRequest, answer: Callable[[], HttpResponse]) -> HttpResponse:
    """The response. Retries a read during an outage. Raises the exception of the last attempt."""
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
