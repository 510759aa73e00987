"""The worker's loop of the volumes: measures them, and advances snapshots and restores. Copies run in dynos."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

from greenroom.accounts.rules import PLATFORM, Actor
from greenroom.addons.contract import Platform
from greenroom.addons.models import Addon, Restore, Snapshot
from greenroom.addons.volume import actions, queries, rules
from greenroom.addons.volume.actions import restores, snapshots
from greenroom.apps.queries import is_gone
from greenroom.basics import clock, disk
from greenroom.basics.guard import Guard

log = logging.getLogger(__name__)

AT_ONCE = 5
"""Volumes per turn."""
COPIES = 3
"""Copies of all apps at the same time."""
MOST = 10_000
"""Volumes whose next measurement is remembered."""
SHORTEST, NEAR, REST = 15.0, 5.0, 20
"""Seconds until the next measurement of a volume: at least SHORTEST, or NEAR if it is near its limit, and REST times as
long as the last one took. While the disk's reserve is in use, each turn measures.
"""


class Loop:
    """Called by the worker every second; idempotent."""

    def __init__(self, home: Path, platform: Platform) -> None:
        self.home, self.platform = home, platform
        self.guard = Guard(log)
        self.last: uuid.UUID | None = None
        self.due: dict[uuid.UUID, float] = {}

    def turn(self) -> bool:
        """One step of each open copy, and a look at the next few volumes. Always False: nothing is urgent."""
        for restore in Restore.objects.filter(addon__kind=queries.KIND, state="swapped").select_related("addon__app"):
            self._run(restore.pk, restore.addon, partial(self._tell, restore))
        self._copy()
        for row in Snapshot.objects.filter(addon__kind=queries.KIND, state="deleting").select_related("addon__app"):
            self._run(row.pk, row.addon, partial(snapshots.erase, snapshot=row, home=self.home))
        self._look()
        return False

    def _run(self, key: uuid.UUID, addon: Addon, step: Callable[[], object]) -> None:
        self.guard.run(key, f"the volume {addon.name}", step, partial(is_gone, addon.app))

    def _copy(self) -> None:
        own = {"addon__kind": queries.KIND, "addon__state": "provisioned"}
        asked = Restore.objects.filter(state="wanted", **own).select_related("addon__app", "snapshot")
        taken = Snapshot.objects.filter(state__in=snapshots.OPEN, **own).select_related("addon__app")
        rows: list[Restore | Snapshot] = list(asked.order_by("created_at")[:COPIES])
        rows += taken.order_by("created_at")[:COPIES]
        for row in sorted(rows, key=lambda row: row.created_at)[:COPIES]:
            self._run(row.pk, row.addon, partial(self._advance, row))

    def _advance(self, row: Restore | Snapshot) -> None:
        if isinstance(row, Restore):
            restores.advance(restore=row, home=self.home)
        else:
            snapshots.advance(snapshot=row, home=self.home)

    def _tell(self, restore: Restore) -> None:
        self.platform.replaced(restore.addon.app, Actor(account_id=None, email=restore.by))
        restores.conclude(restore)
        snapshots.retain(restore.addon)

    def _look(self) -> None:
        rows = Addon.objects.filter(kind=queries.KIND, state="provisioned").select_related("app").order_by("pk")
        rows = rows.prefetch_related("attachments")
        found = list((rows.filter(pk__gt=self.last) if self.last else rows)[:AT_ONCE])
        for addon in found:
            if clock.monotonic() >= self.due.get(addon.pk, 0.0):
                self._run(addon.pk, addon, partial(self._measure, addon))
        self.last = found[-1].pk if len(found) == AT_ONCE else None
        if self.last is None and len(self.due) > MOST:
            self.due.clear()

    def _measure(self, addon: Addon) -> None:
        began = clock.monotonic()
        actions.measure(addon=addon, home=self.home)
        if addon.data.get("restart"):
            self.platform.replaced(addon.app, PLATFORM)
            actions.restarted(addon)
        snapshots.retain(addon)
        now = clock.monotonic()
        low = disk.left(self.home) < 0
        if low and addon.data.get("level") == rules.FULL:
            actions.end_writers(addon=addon, home=self.home)
        shortest = NEAR if addon.data.get("level") == rules.NEAR else SHORTEST
        self.due[addon.pk] = now + (0.0 if low else max(shortest, REST * (now - began)))
