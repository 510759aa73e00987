"""A dyno's memory quota: the only source of R14 and R15.

With control groups, the kernel enforces it and its kills are counted; otherwise the memory is measured.
R14: a process of the dyno was killed, and the dyno continues. R15: the dyno ends because of it.
"""

from __future__ import annotations

import os
from time import monotonic

from greenroom.engine.local import launch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from greenroom.engine.local.kept_dyno import KeptDyno
    from greenroom.engine.local.loop import Timer

COUNT_LOOK, MEASURE_LOOK = 5.0, 0.5
"""Seconds between checks of the kernel's counter, and between measurements of the memory."""
RECENT = 30.0
"""Seconds after a counted kill during which exit code 137 of the main process is due to it: the kill may have been its
own, or that of a child whose code it passes on."""
EXCEEDED = "Error R14 (Memory quota exceeded)"
VASTLY_EXCEEDED = "Error R15 (Memory quota vastly exceeded)"


class Quota:
    """Watches from the start of the process to its end. oom: open descriptor of the ``oom_file``; -1 without groups."""

    def __init__(self, shim: KeptDyno, oom: int) -> None:
        self._shim, self._oom = shim, oom
        self._kills, self._counted = 0, float("-inf")
        self._timer: Timer | None = None
        self._watch()

    def close(self) -> None:
        """Stop watching, since the dyno has ended."""
        if self._timer:
            self._timer.cancel()

    def verdict(self, code: int) -> str:
        """The error of a dyno whose main process ended with ``code``, if the kernel killed it for its memory; also
        logged. Else empty.
        """
        if code != 137 or self._oom < 0:
            return ""
        if oom_kills(self._oom) <= self._kills and monotonic() - self._counted > RECENT:
            return ""
        self._say(self._shim.limits["memory_mb"], VASTLY_EXCEEDED)
        return VASTLY_EXCEEDED

    def _watch(self) -> None:
        if self._oom >= 0:
            self._count()
        else:
            self._measure()
        self._timer = self._shim.loop.at(COUNT_LOOK if self._oom >= 0 else MEASURE_LOOK, self._watch)

    def _count(self) -> None:
        tree, kills = self._shim.tree, oom_kills(self._oom)
        if kills > self._kills and tree and not tree.ended:
            self._kills, self._counted = kills, monotonic()
            self._say(self._shim.limits["memory_mb"], EXCEEDED)

    def _measure(self) -> None:
        tree, memory = self._shim.tree, self._shim.limits["memory_mb"]
        if tree and tree.first and not tree.ended and (used := launch.resident_mb(tree.first)) > memory:
            self._say(used, "")
            self._shim.end_by("oom", VASTLY_EXCEEDED)

    def _say(self, used: float, error: str) -> None:
        memory = self._shim.limits["memory_mb"]
        self._shim.journal.say(f"Process running mem={used:.0f}M({100 * used / memory:.1f}%)")
        if error:
            self._shim.journal.say(error)


def oom_kills(fd: int) -> int:
    """Number of the group's processes that were killed for lack of memory."""
    for line in os.pread(fd, 4096, 0).split(b"\n"):
        if line.startswith(b"oom_kill "):
            return int(line.split()[1])
    return 0
