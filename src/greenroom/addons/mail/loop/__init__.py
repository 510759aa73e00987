"""The worker's loop of the mail traps: starts servers that have ended."""

from __future__ import annotations

from pathlib import Path

from greenroom.addons.drivers.server_watch import Watch
from greenroom.addons.mail import actions, rules
from greenroom.addons.models import Addon
from greenroom.addons.queries import server_dyno


class Loop:
    """Called by the worker every second; idempotent."""

    def __init__(self, home: Path) -> None:
        self.watch = Watch(
            home,
            noun=rules.SERVICE.noun,
            dyno_of=server_dyno,
            restart=lambda addon: actions.restart(addon=addon, home=home),
        )

    def turn(self) -> bool:
        """Look at the next few traps. Always False: nothing is urgent."""
        self.watch.look(Addon.objects.filter(kind=rules.SERVICE.kind))
        return False
