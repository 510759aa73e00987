"""Concurrent changes: one runs in its own thread, with its own database connection, while the test is in the middle of
another.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from django.db import connection, connections, transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import PLATFORM
from greenroom.apps.models import App


class Aside:
    """A change in its own thread, with its own connection. ``end`` waits for it and raises its exception."""

    def __init__(self, step: Callable[[], object]) -> None:
        self.raised: list[Exception] = []
        self.thread = threading.Thread(target=self._run, args=(step,))
        self.thread.start()

    def _run(self, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception as error:
            self.raised.append(error)
        finally:
            connections.close_all()

    def waits(self) -> bool:
        """Wait until the change waits for a lock. False if it ends without waiting."""
        while self.thread.is_alive():
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                if cursor.fetchone()[0]:
                    return True
            time.sleep(0.05)
        return False

    def end(self) -> None:
        self.thread.join(60)
        assert not self.thread.is_alive()
        if self.raised:
            raise self.raised[0]


def while_it_is_changed(app, step: Callable[[], object]) -> None:
    """Start ``step`` while another change locks the app's row. It writes an audit entry once the step waits."""
    with transaction.atomic():
        App.objects.select_for_update(no_key=True).get(pk=app.pk)
        other = Aside(step)
        assert other.waits()
        audit(actor=PLATFORM, action="met", app=app)
    other.end()
