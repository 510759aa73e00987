"""Two changes that meet: one goes on in a thread of its own, with a database connection of its own, while the test is
in the midst of the other.
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
    """A change in a thread of its own, with a connection of its own; ``end`` waits for it and raises what it raised."""

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
        """Wait until it waits for a lock; False when it ends without."""
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
    """Begin ``step`` while another change holds the app's row, which that change tells the audit log when the step
    waits.
    """
    with transaction.atomic():
        App.objects.select_for_update(no_key=True).get(pk=app.pk)
        other = Aside(step)
        assert other.waits()
        audit(actor=PLATFORM, action="met", app=app)
    other.end()
