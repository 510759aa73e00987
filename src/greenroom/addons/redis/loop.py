"""The worker's loop of the key-value stores: starts servers that have ended, and withdraws former passwords."""

from __future__ import annotations

from pathlib import Path

from greenroom.addons.drivers.server_watch import Watch
from greenroom.addons.models import Addon
from greenroom.addons.queries import server_dyno
from greenroom.addons.redis import actions, rules
from greenroom.basics import clock


class Loop:
    """Called by the worker every second; idempotent."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.watch = Watch(
            home,
            noun=rules.SERVICE.noun,
            dyno_of=server_dyno,
            restart=lambda addon: actions.restart(addon=addon, home=home),
            look_after=self._forget_former,
        )

    def turn(self) -> bool:
        """Look at the next few stores. Always False: nothing is urgent."""
        self.watch.look(Addon.objects.filter(kind=rules.SERVICE.kind))
        return False

    def _forget_former(self, addon: Addon) -> None:
        if 0 < addon.data.get("former_until", 0) <= clock.now().timestamp():
            actions.forget_former(addon=addon, home=self.home)
