"""The worker's loop of the key-value stores: starts servers that have ended, and withdraws former passwords."""

from __future__ import annotations

import logging
import uuid
from functools import partial
from pathlib import Path

from greenroom.addons.drivers.engines import engine
from greenroom.addons.models import Addon
from greenroom.addons.redis import actions, queries
from greenroom.apps.queries import is_gone
from greenroom.basics import clock
from greenroom.basics.guard import Guard

log = logging.getLogger(__name__)

AT_ONCE = 20
"""Number of stores per turn."""
SHORTEST, LONGEST = 2.0, 300.0
"""Pause before the next start of a server that ends: doubled each time, until it has run for LONGEST seconds."""


class Loop:
    """Called by the worker every second; idempotent."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.guard = Guard(log)
        self.last: uuid.UUID | None = None
        self.pauses: dict[uuid.UUID, float] = {}
        self.due: dict[uuid.UUID, float] = {}

    def turn(self) -> bool:
        """Look at the next few stores. Always False: nothing is urgent."""
        rows = Addon.objects.filter(kind="redis", state="provisioned").select_related("app").order_by("pk")
        found = list((rows.filter(pk__gt=self.last) if self.last else rows)[:AT_ONCE])
        for addon in found:
            step = partial(self._look_at, addon)
            self.guard.run(addon.pk, f"the key-value store {addon.name}", step, partial(is_gone, addon.app))
        self.last = found[-1].pk if len(found) == AT_ONCE else None
        return False

    def _look_at(self, addon: Addon) -> None:
        state = engine(self.home).describe(queries.dyno_of(addon))
        if state is None or state.ended:
            if clock.monotonic() >= self.due.get(addon.pk, 0.0):
                self._restart(addon, state is not None)
            return
        if state.listening and clock.now().timestamp() - state.started_at > LONGEST:
            self.pauses.pop(addon.pk, None)
        if state.listening and 0 < addon.data.get("former_until", 0) <= clock.now().timestamp():
            actions.forget_former(addon=addon, home=self.home)

    def _restart(self, addon: Addon, ended: bool) -> None:
        pause = min(LONGEST, 2 * self.pauses.get(addon.pk, SHORTEST / 2))
        self.pauses[addon.pk], self.due[addon.pk] = pause, clock.monotonic() + pause
        log.warning("%s: its server %s and is started again", addon.name, "has ended" if ended else "is gone")
        actions.restart(addon=addon, home=self.home)
