"""A dyno's limits in time, memory and disk: when one is passed, the shim is told why the dyno has to end.

Memory is the kernel's affair where there are control groups (its kills are counted here), and watched here where there
are none.
A dyno may write as much as it likes while the disk has room. When the disk runs low, dynos that have written much are
ended: first those
with over a gigabyte, then smaller ones. So PostgreSQL, the logs and the other apps keep their space.
"""

from __future__ import annotations

import os
from contextlib import suppress
from time import monotonic

from greenroom.engine.local import launch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from greenroom.engine.local.loop import Timer
    from greenroom.engine.local.shim import Shim

OOM_LOOK, MEMORY_LOOK = 5.0, 0.5
"""Seconds between looks at the kernel's count, and at the memory itself."""

DISK_LOOK, LOW, MUCH, HALVINGS = 10.0, 250_000_000, 1_000_000_000, 3
"""Seconds between looks at the disk; bytes below which it is low, half of the reserve of ``basics.disk``; bytes that
are much for one dyno,
halved at each look at most so often."""

LOW_SHARE, MUCH_SHARE = 40, 4
"""The same as shares of a small disk."""


class Deadlines:
    """Running from the start of the process to its end."""

    def __init__(self, shim: Shim, oom: int) -> None:
        self._shim, self._oom = shim, oom
        self._timers: dict[str, Timer] = {}
        self._disk = os.open(shim.order["own"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._kills = self._lows = 0
        limits = shim.limits
        if limits["timeout"]:
            text = f"The process ran longer than {limits['timeout']:g} seconds"
            self._timers["timeout"] = shim.loop.at(limits["timeout"], lambda: shim.end_by("timeout", text))
        if limits["boot"] and shim.order["port"]:
            self._timers["boot"] = shim.loop.at(limits["boot"], self._not_bound)
        if limits["silence"]:
            self._listen()
        self._watch_memory()
        self._timers["disk"] = shim.loop.at(DISK_LOOK, self._watch_disk)

    def bound(self) -> None:
        """The port answers."""
        if "boot" in self._timers:
            self._timers.pop("boot").cancel()

    def close(self) -> None:
        """The dyno has ended. One that filled the disk gives it back at once: its exit state needs room, and so does
        everybody else.
        """
        for timer in self._timers.values():
            timer.cancel()
        if self._shim.why == "disk":
            clear(self._disk)

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

    def _watch_disk(self) -> None:
        free, much = room(self._disk)
        self._lows = 0 if free > 0 else self._lows + 1
        if self._lows and (used := written(self._disk)) > much >> min(self._lows - 1, HALVINGS):
            text = (
                f"Error: the machine's disk is full; this dyno has written {used / 1e6:,.0f} MB to files that nobody"
                " keeps"
            )
            self._shim.end_by("disk", text)
        self._timers["disk"] = self._shim.loop.at(DISK_LOOK, self._watch_disk)

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


def room(fd: int) -> tuple[int, int]:
    """(bytes until the disk of an open folder is low, negative below that; what is much for one dyno)."""
    disk = os.fstatvfs(fd)
    total = disk.f_blocks * disk.f_frsize
    return disk.f_bavail * disk.f_frsize - min(LOW, total // LOW_SHARE), min(MUCH, total // MUCH_SHARE)


def written(fd: int) -> int:
    """Bytes on disk of all files below an open folder; what cannot be looked into counts nothing."""
    total = 0
    for _, _, names, folder in os.fwalk(".", dir_fd=fd):
        for name in names:
            with suppress(OSError):
                total += os.lstat(name, dir_fd=folder).st_blocks * 512
    return total


def clear(fd: int) -> None:
    """Delete all files below an open folder, as far as that can be done."""
    for _, _, names, folder in os.fwalk(".", dir_fd=fd):
        for name in names:
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)


def oom_kills(fd: int) -> int:
    """How many processes of the group were killed for want of memory; ``fd`` is its open ``oom_file``."""
    for line in os.pread(fd, 4096, 0).split(b"\n"):
        if line.startswith(b"oom_kill "):
            return int(line.split()[1])
    return 0
