"""A dyno's limits in time and memory: when one is passed, the shim is told why the dyno has to end.

Memory is the kernel's affair where there are control groups (its kills are counted here), and watched here where there are none.
"""

from __future__ import annotations

import os
from time import monotonic

from greenroom.engine.local import launch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from greenroom.engine.local.loop import Timer
    from greenroom.engine.local.shim import Shim

OOM_LOOK, MEMORY_LOOK = 5.0, 0.5
"""Seconds between looks at the kernel's count, and at the memory itself."""


class Deadlines:
    """Running from the start of the process to its end."""

    def __init__(self, shim: Shim, oom: int) -> None:
        self._shim, self._oom = shim, oom
        self._timers: dict[str, Timer] = {}
        self._kills = 0
        limits = shim.limits
        if limits["timeout"]:
            text = f"The process ran longer than {limits['timeout']:g} seconds"
            self._timers["timeout"] = shim.loop.at(limits["timeout"], lambda: shim.end_by("timeout", text))
        if limits["boot"] and shim.order["port"]:
            self._timers["boot"] = shim.loop.at(limits["boot"], self._not_bound)
        if limits["silence"]:
            self._listen()
        self._watch_memory()

    def bound(self) -> None:
        """The port answers."""
        if "boot" in self._timers:
            self._timers.pop("boot").cancel()

    def close(self) -> None:
        """The dyno has ended."""
        for timer in self._timers.values():
            timer.cancel()

    def was_oom(self, code: int) -> bool:
        """Whether a process that ended with ``code`` was killed for want of memory."""
        return code == 137 and self._oom >= 0 and oom_kills(self._oom) > 0

    def _not_bound(self) -> None:
        seconds = self._shim.limits["boot"]
        text = f"Error R10 (Boot timeout) -> Web process failed to bind to $PORT within {seconds:g} seconds of launch"
        self._shim.end_by("boot", text)

    def _listen(self) -> None:
        allowed = self._shim.limits["silence"]
        silent = monotonic() - self._shim.heard
        if silent >= allowed:
            self._shim.end_by("silence", f"The process printed nothing for {allowed:g} seconds")
        else:
            self._timers["silence"] = self._shim.loop.at(allowed - silent, self._listen)

    def _watch_memory(self) -> None:
        if self._oom >= 0:
            self._count_kills()
            self._timers["memory"] = self._shim.loop.at(OOM_LOOK, self._watch_memory)
        else:
            self._measure()
            self._timers["memory"] = self._shim.loop.at(MEMORY_LOOK, self._watch_memory)

    def _count_kills(self) -> None:
        kills = oom_kills(self._oom)
        if kills > self._kills:
            self._kills = kills
            memory = self._shim.limits["memory_mb"]
            self._shim.journal.say(f"Process running mem={memory}M(100.0%)")
            self._shim.journal.say("Error R14 (Memory quota exceeded)")

    def _measure(self) -> None:
        tree, memory = self._shim.tree, self._shim.limits["memory_mb"]
        if tree and tree.first and not tree.ended and (used := launch.resident_mb(tree.first)) > memory:
            self._shim.journal.say(f"Process running mem={used:.0f}M({100 * used / memory:.1f}%)")
            self._shim.end_by("oom", "Error R15 (Memory quota vastly exceeded)")


def oom_kills(fd: int) -> int:
    """How many processes of the group were killed for want of memory; ``fd`` is its open ``oom_file``."""
    for line in os.pread(fd, 4096, 0).split(b"\n"):
        if line.startswith(b"oom_kill "):
            return int(line.split()[1])
    return 0
