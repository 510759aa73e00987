"""Watches servers of add-ons that are dynos, and starts those that have ended, less and less often."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

from django.db.models import QuerySet

from greenroom.addons.drivers.engines import engine
from greenroom.addons.models import Addon
from greenroom.apps.queries import is_gone
from greenroom.basics import clock
from greenroom.basics.guard import Guard

log = logging.getLogger(__name__)

AT_ONCE = 20
"""Number of servers per turn."""
SHORTEST, LONGEST = 2.0, 300.0
"""Pause before the next start of a server that ends: doubled each time, until it has run for LONGEST seconds."""


class Watch:
    """One kind's servers. dyno_of: the engine's id of one. look_after: further work on one that accepts connections."""

    def __init__(
        self,
        home: Path,
        *,
        noun: str,
        dyno_of: Callable[[Addon], str],
        restart: Callable[[Addon], None],
        look_after: Callable[[Addon], None] = lambda addon: None,
    ) -> None:
        self.home, self.noun = home, noun
        self.dyno_of, self.restart, self.look_after = dyno_of, restart, look_after
        self.guard = Guard(log)
        self.last: uuid.UUID | None = None
        self.pauses: dict[uuid.UUID, float] = {}
        self.due: dict[uuid.UUID, float] = {}

    def look(self, addons: QuerySet[Addon]) -> None:
        """Look at the next few of the kind's add-ons."""
        rows = addons.filter(state="provisioned").select_related("app").order_by("pk")
        found = list((rows.filter(pk__gt=self.last) if self.last else rows)[:AT_ONCE])
        for addon in found:
            step = partial(self._look_at, addon)
            self.guard.run(addon.pk, f"the {self.noun} {addon.name}", step, partial(is_gone, addon.app))
        self.last = found[-1].pk if len(found) == AT_ONCE else None

    def _look_at(self, addon: Addon) -> None:
        state = engine(self.home).describe(self.dyno_of(addon))
        if state is None or state.ended:
            if clock.monotonic() >= self.due.get(addon.pk, 0.0):
                self._restart(addon, state is not None)
            return
        if state.listening and clock.now().timestamp() - state.started_at > LONGEST:
            self.pauses.pop(addon.pk, None)
        if state.listening:
            self.look_after(addon)

    def _restart(self, addon: Addon, ended: bool) -> None:
        pause = min(LONGEST, 2 * self.pauses.get(addon.pk, SHORTEST / 2))
        self.pauses[addon.pk], self.due[addon.pk] = pause, clock.monotonic() + pause
        log.warning("%s: its server %s and is started again", addon.name, "has ended" if ended else "is gone")
        self.restart(addon)
