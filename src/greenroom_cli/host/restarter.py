"""Watches the components of an installation and restarts those that end, with exponential back-off.

A full disk must not stop it: log lines and pid files that cannot be written are skipped.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from greenroom.basics.processes import Identity, open_pidfd
from greenroom_cli.host import processes
from greenroom_cli.host.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from greenroom_cli.host.component import Component
    from greenroom_cli.host.started_component import StartedComponent

FIRST, LONGEST = 1.0, 60.0
STEADY, QUICK = 60.0, 2.0
"""Seconds of uptime after which the back-off is reset, and below which an exit counts as a failed start."""
ROOM = 16_000_000
"""Free disk space, in bytes, below which starts are likely to fail. When it is free again, waiting components start at
once.
"""


class Restarter:
    """Watches and restarts components until SIGTERM, SIGINT or SIGUSR1. ``clock``: monotonic seconds.

    leaving: apps are to stay when the host process ends.
    """

    def __init__(
        self,
        home: Path,
        components: Sequence[Component | StartedComponent],
        say: processes.Say,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.home = home
        self.components = {component.name: component for component in components}
        self.say = say
        self.clock = clock
        self.pause = dict.fromkeys(self.components, FIRST)
        self.due: dict[str, float] = {}
        self.running: dict[str, Identity] = {}
        self.since = dict.fromkeys(self.components, clock() - STEADY - 1)
        self.restarts = {name: int(processes.details(home, name).get("restarts", 0)) for name in self.components}
        self.unwritten: set[str] = set()
        self.cramped = False
        self.stopping = self.leaving = False

    def run(self, ready: Callable[[], object] = bool) -> None:
        """Watch pidfds, which also work for processes that are not children; returns after SIGTERM or SIGINT, and after
        SIGUSR1 with ``leaving``.

        ``ready`` is called after the signal handlers are installed.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, self._stop)
        ready()
        while not self.stopping:
            poll, handles = select.poll(), self.look()
            for handle in handles:
                poll.register(handle, select.POLLIN)
            poll.poll(500)
            for handle in handles:
                os.close(handle)
            self.turn()

    def look(self) -> list[int]:
        """A pidfd of each running component; schedules restarts of those that have ended."""
        handles = []
        for name in self.components:
            if name not in self.running and name not in self.due and (who := processes.known(self.home, name)):
                self.running[name] = who
            handle = open_pidfd(self.running[name]) if name in self.running else None
            if handle is not None:
                handles.append(handle)
            elif name not in self.due:
                self._died(name)
        return handles

    def turn(self) -> None:
        """Start the components that are due, and retry pid files that could not be written."""
        processes.reap()
        self._notice_room()
        for name, moment in list(self.due.items()):
            if self.clock() >= moment:
                self._restart(name)
        for name in [name for name in self.unwritten if name in self.running]:
            if processes.remember(self.home, name, self.running[name], self.restarts[name]):
                self.unwritten.discard(name)

    def _stop(self, number: int, *_: object) -> None:
        self.stopping, self.leaving = True, number == signal.SIGUSR1

    def _died(self, name: str) -> None:
        """Schedule the restart: at once after a long uptime, else after the back-off."""
        self.running.pop(name, None)
        lived = self.clock() - self.since[name]
        if lived > STEADY:
            self.pause[name] = FIRST
        wait = 0.0 if lived > QUICK and self.pause[name] <= FIRST else self.pause[name]
        self.say(f"{name} exited; restarting in {wait:.0f} s")
        self._wait(name, wait)

    def _wait(self, name: str, seconds: float) -> None:
        self.pause[name] = min(self.pause[name] * 2, LONGEST)
        self.due[name] = self.clock() + seconds

    def _restart(self, name: str) -> None:
        del self.due[name]
        other = processes.known(self.home, name)
        if other:
            self.running[name] = other
            self.say(f"{name} is running as pid {other.pid}")
            return
        try:
            who = processes.start(self.home, self.components[name], self.restarts[name] + 1)
        except (HostError, OSError) as error:
            self.say(f"{name} does not start: {error}")
            self._wait(name, self.pause[name])
            return
        self.running[name], self.since[name] = who, self.clock()
        self.restarts[name] += 1
        self.unwritten.add(name)
        self.say(f"{name} restarted as pid {who.pid}")

    def _notice_room(self) -> None:
        """Start waiting components at once when a full disk has free space again."""
        with contextlib.suppress(OSError):
            cramped = shutil.disk_usage(self.home).free < ROOM
            if self.cramped and not cramped:
                self.say("disk space is available again")
                self.pause = dict.fromkeys(self.components, FIRST)
                self.due = dict.fromkeys(self.due, self.clock())
            self.cramped = cramped
