"""A dyno's memory quota: the only source of R14 and R15.

R14: the dyno needs more than its quota and continues, or a process of it was killed and the others continue. R15: the
dyno ends, because it needs more than its limit (contract.Limits).
With control groups, the kernel enforces the limit and its kills are counted; otherwise the memory is measured.
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
REPEAT = 20.0
"""Seconds between two R14 of a dyno above its quota, as on Heroku."""
RECENT = 30.0
"""Seconds after a counted kill during which exit code 137 of the main process is due to it: the kill may have been its
own, or that of a child whose code it passes on."""
EXCEEDED = "Error R14 (Memory quota exceeded)"
VASTLY_EXCEEDED = "Error R15 (Memory quota vastly exceeded)"


class Quota:
    """Watches from the start of the process to its end. files: see ``open_files``."""

    def __init__(self, shim: KeptDyno, files: tuple[int, int]) -> None:
        self._shim, (self._oom, self._use) = shim, files
        self._limit: int = shim.limits["memory_mb"]
        self._quota: int = shim.limits.get("quota_mb", 0) or self._limit  # an older supervisor gives no quota
        self._kills, self._counted, self._told = 0, float("-inf"), float("-inf")
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
        self._say(self._limit, VASTLY_EXCEEDED)
        return VASTLY_EXCEEDED

    def _watch(self) -> None:
        tree, counted = self._shim.tree, self._oom >= 0
        if tree and tree.first and not tree.ended:
            self._look(used_mb(self._use) if counted else launch.resident_mb(tree.first))
        self._timer = self._shim.loop.at(COUNT_LOOK if counted else MEASURE_LOOK, self._watch)

    def _look(self, used: float) -> None:
        kills = oom_kills(self._oom) if self._oom >= 0 else 0
        if kills > self._kills:
            self._kills, self._counted = kills, monotonic()
            self._say(self._limit, EXCEEDED)
        elif self._oom < 0 and used > self._limit:
            self._say(used, "")
            self._shim.end_by("oom", VASTLY_EXCEEDED)
        elif used > self._quota and monotonic() - self._told >= REPEAT:
            self._told = monotonic()
            self._say(used, EXCEEDED)

    def _say(self, used: float, error: str) -> None:
        self._shim.journal.say(f"Process running mem={used:.0f}M({100 * used / self._quota:.1f}%)")
        if error:
            self._shim.journal.say(error)


def open_files(oom_file: str) -> tuple[int, int]:
    """Descriptors of the ``oom_file`` of a control group and of its ``memory.stat``, opened while the shim still may;
    -1 without groups. oom_file: its path, or empty.
    """
    if not oom_file:
        return -1, -1
    stat = os.path.join(os.path.dirname(oom_file), "memory.stat")
    return os.open(oom_file, os.O_RDONLY | os.O_CLOEXEC), os.open(stat, os.O_RDONLY | os.O_CLOEXEC)


def used_mb(fd: int) -> float:
    """Memory in MB that the group's processes hold, in RAM and in swap, from its ``memory.stat``: without the page
    cache, which the kernel takes back when it is needed.
    """
    counts = dict(line.split(maxsplit=1) for line in os.pread(fd, 16384, 0).decode().splitlines() if " " in line)
    names = ("total_rss", "total_shmem", "total_swap") if "total_rss" in counts else ("anon", "shmem")
    return sum(int(counts.get(name, 0)) for name in names) / 2**20


def oom_kills(fd: int) -> int:
    """Number of the group's processes that were killed for lack of memory."""
    for line in os.pread(fd, 4096, 0).split(b"\n"):
        if line.startswith(b"oom_kill "):
            return int(line.split()[1])
    return 0
