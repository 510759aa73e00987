"""The worker's database loop: requested and due snapshots and restores, each in a thread, and checks of the roles."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

from django.db import connections

from greenroom.accounts.rules import Actor
from greenroom.addons.contract import Platform
from greenroom.addons.models import Addon, Restore, Schedule, Snapshot
from greenroom.addons.postgres import actions
from greenroom.addons.postgres.actions import restores, schedules, snapshots
from greenroom.apps.queries import is_gone
from greenroom.basics import clock
from greenroom.basics.errors import GreenroomError
from greenroom.basics.guard import Guard

log = logging.getLogger(__name__)


AT_ONCE = 5
ROUND = 30.0
"""Number of databases per turn, and seconds between two rounds."""
HANDS = 3
"""Maximum number of concurrent dumps and loads, at most one per app, so that a slow database does not block others."""


class Loop:
    """Called by the worker every second; each part is idempotent. ``hands``: number of threads; 0: ``turn`` blocks."""

    def __init__(self, home: Path, platform: Platform, hands: int = 0) -> None:
        self.home = home
        self.platform = platform
        self.hands = hands
        self.busy: dict[uuid.UUID, threading.Thread] = {}

    def turn(self) -> bool:
        """Start due work. Always False: no immediate next turn. An error of one database does not stop the others."""
        self._ask_for_due()
        rows = Snapshot.objects.filter(state="wanted", addon__kind="postgres")
        wanted = rows.select_related("addon__app").order_by("created_at")
        for row in sorted(wanted, key=lambda row: row.kind != "before_migrate"):  # a user waits for these
            self._hand_out(row, partial(self._make, row))
        for restore in (*restores.unfinished(), *restores.swapped()):
            self._hand_out(restore, partial(self._carry_on, restore))
        return False

    def _hand_out(self, row: Snapshot | Restore, work: Callable[[], object]) -> None:
        if not self.hands:
            return _attempt(row, work)
        self.busy = {key: thread for key, thread in self.busy.items() if thread.is_alive()}
        if row.addon.app_id in self.busy or len(self.busy) >= self.hands:
            return None  # retried in a later turn
        thread = threading.Thread(
            target=_in_thread, args=(row, work), name=f"{row.name} of {row.addon.name}", daemon=True
        )
        self.busy[row.addon.app_id] = thread
        thread.start()

    def _make(self, snapshot: Snapshot) -> None:
        try:
            snapshots.make(snapshot=snapshot, home=self.home)
        finally:
            self.platform.wake()

    def _carry_on(self, restore: Restore) -> None:
        restores.advance(restore=restore, home=self.home)
        restore.refresh_from_db()
        if restore.state == "swapped":
            self._tell_app(restore)

    def _ask_for_due(self) -> None:
        for schedule in schedules.take_due():
            _attempt(schedule, partial(self._ask_daily, schedule))

    def _ask_daily(self, schedule: Schedule) -> None:
        actor, addon = Actor(account_id=None, email=schedule.by), schedule.addon
        version = self.platform.serving(addon.app)
        snapshots.ask(actor=actor, addon=addon, kind="scheduled", reason="daily", release_version=version)

    def _tell_app(self, restore: Restore) -> None:
        self.platform.replaced(restore.addon.app, Actor(account_id=None, email=restore.by))
        restores.conclude(restore=restore)
        self.platform.wake()


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


class RoleChecks:
    """Checks the passwords and privileges of the roles in the apps' databases, a few databases per turn."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.guard = Guard(log)
        self.last: uuid.UUID | None = None
        self.rest = 0.0

    def turn(self) -> None:
        """Check the next few databases. After the last one, pause for ROUND seconds."""
        if clock.monotonic() < self.rest:
            return
        rows = Addon.objects.filter(kind="postgres", state="provisioned").select_related("app").order_by("pk")
        found = list((rows.filter(pk__gt=self.last) if self.last else rows)[:AT_ONCE])
        for addon in found:
            if self.guard.run(
                addon.pk,
                f"the roles of {addon.name}",
                partial(actions.check, addon=addon, home=self.home),
                partial(is_gone, addon.app),
            ):
                log.info("%s: reset the password of a role", addon.name)
        self.last = found[-1].pk if len(found) == AT_ONCE else None
        if self.last is None:
            self.rest = clock.monotonic() + ROUND
