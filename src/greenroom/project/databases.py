"""The databases' turn of the worker: snapshots and restores that were asked for or are due, in threads of their own
since they take long.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

from django.db import connections

from greenroom.accounts.rules import Actor
from greenroom.addons.models import Restore, Schedule, Snapshot
from greenroom.addons.postgres.actions import restores, schedules, snapshots
from greenroom.app_migrations.actions import ask_again
from greenroom.apps.actions.worker import wake
from greenroom.apps.models import App
from greenroom.basics.errors import GreenroomError
from greenroom.dynos import actions as dynos
from greenroom.dynos.queries import live

log = logging.getLogger(__name__)


HANDS = 3
"""Dumps and loads that run at once, at most one per app: a slow or hostile database must not keep the others
waiting.
"""


class Loop:
    """Called by the worker every second; each part is repeatable. ``hands``: how many threads work; 0: all is done
    within ``turn``.
    """

    def __init__(self, home: Path, hands: int = 0) -> None:
        self.home = home
        self.hands = hands
        self.busy: dict[uuid.UUID, threading.Thread] = {}

    def turn(self) -> bool:
        """False: nothing here gets done sooner by turning again at once. Trouble with one database does not stop the
        others.
        """
        self._ask_for_due()
        for row in Snapshot.objects.filter(state="wanted").select_related("addon__app").order_by("created_at"):
            self._hand_out(row, partial(snapshots.make, snapshot=row, home=self.home))
        for restore in (*restores.unfinished(), *restores.swapped()):
            self._hand_out(restore, partial(self._carry_on, restore))
        return False

    def _hand_out(self, row: Snapshot | Restore, work: Callable[[], object]) -> None:
        if not self.hands:
            return _attempt(row, work)
        self.busy = {key: thread for key, thread in self.busy.items() if thread.is_alive()}
        if row.addon.app_id in self.busy or len(self.busy) >= self.hands:
            return None  # the row waits for a later turn
        thread = threading.Thread(
            target=_in_thread, args=(row, work), name=f"{row.name} of {row.addon.name}", daemon=True
        )
        self.busy[row.addon.app_id] = thread
        thread.start()

    def _carry_on(self, restore: Restore) -> None:
        restores.advance(restore=restore, home=self.home)
        restore.refresh_from_db()
        if restore.state == "swapped":
            self._tell_app(restore)

    def _ask_for_due(self) -> None:
        for schedule in schedules.take_due():
            _attempt(schedule, partial(_ask_daily, schedule))

    def _tell_app(self, restore: Restore) -> None:
        """Fresh dynos, since sessions of the old ones were ended; and the question what is pending now."""
        app = restore.addon.app
        dynos.restart(actor=Actor(account_id=None, email=restore.by), app=app)
        rollout = live(app)
        if rollout:
            ask_again(release=rollout.release)
        restores.conclude(restore=restore)
        wake()


def _ask_daily(schedule: Schedule) -> None:
    actor, addon = Actor(account_id=None, email=schedule.by), schedule.addon
    snapshots.ask(actor=actor, addon=addon, kind="scheduled", reason="daily", release_version=version_of(addon.app))


def _attempt(row: Snapshot | Restore | Schedule, work: Callable[[], object]) -> None:
    try:
        work()
    except GreenroomError as error:
        log.warning("%s of %s failed: %s", row.name, row.addon.name, error)
    except Exception:
        log.exception("%s of %s failed", row.name, row.addon.name)


def _in_thread(row: Snapshot | Restore, work: Callable[[], object]) -> None:
    try:
        _attempt(row, work)
    finally:
        connections.close_all()


def version_of(app: App) -> int | None:
    """The version of the release that serves the app now."""
    rollout = live(app)
    return rollout.release.version if rollout else None
