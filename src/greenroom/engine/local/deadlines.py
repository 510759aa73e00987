"""A dyno's time and disk limits; requests its end from the shim, with the reason, when one is exceeded.

A dyno may write without limit while the disk has space. When the disk runs low, dynos that have written much are ended:
first those above one gigabyte, then smaller ones. This protects the space of PostgreSQL, the logs and the other apps.
"""

from __future__ import annotations

import os
from contextlib import suppress
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from greenroom.engine.local.kept_dyno import KeptDyno
    from greenroom.engine.local.loop import Timer

DISK_LOOK, LOW, MUCH, HALVINGS = 10.0, 250_000_000, 1_000_000_000, 3
"""Seconds between disk checks; free bytes below which the disk is low, half of the reserve of ``basics.disk``; bytes
that are much for one dyno, and how often they are halved at most, once per check.
"""

LOW_SHARE, MUCH_SHARE = 40, 4
"""The two byte limits as divisors of a small disk's size."""


class Deadlines:
    """The timers of a process, from its start to its end."""

    def __init__(self, shim: KeptDyno) -> None:
        self._shim = shim
        self._timers: dict[str, Timer] = {}
        self._disk = os.open(shim.order["own"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._lows = 0
        limits = shim.limits
        if limits["timeout"]:
            text = f"The process ran longer than {limits['timeout']:g} seconds"
            self._timers["timeout"] = shim.loop.at(limits["timeout"], lambda: shim.end_by("timeout", text))
        if limits["boot"] and shim.order["port"]:
            self._timers["boot"] = shim.loop.at(limits["boot"], self._not_bound)
        if limits["silence"]:
            self._listen()
        self._timers["disk"] = shim.loop.at(DISK_LOOK, self._watch_disk)

    def bound(self) -> None:
        """Cancel the boot timeout, since the port answers."""
        if "boot" in self._timers:
            self._timers.pop("boot").cancel()

    def close(self) -> None:
        """Cancel all timers. A dyno that filled the disk frees the space at once: its exit state and all other
        processes need it.
        """
        for timer in self._timers.values():
            timer.cancel()
        if self._shim.why == "disk":
            clear(self._disk)

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

    def _watch_disk(self) -> None:
        free, much = room(self._disk)
        self._lows = 0 if free > 0 else self._lows + 1
        if self._lows and (used := written(self._disk)) > much >> min(self._lows - 1, HALVINGS):
            text = (
                f"Error: the machine's disk is full; this dyno has written {used / 1e6:,.0f} MB to its temporary files"
            )
            self._shim.end_by("disk", text)
        self._timers["disk"] = self._shim.loop.at(DISK_LOOK, self._watch_disk)


def room(fd: int) -> tuple[int, int]:
    """(free bytes above the low limit of an open folder's disk, negative below it; bytes that are much for one
    dyno).
    """
    disk = os.fstatvfs(fd)
    total = disk.f_blocks * disk.f_frsize
    return disk.f_bavail * disk.f_frsize - min(LOW, total // LOW_SHARE), min(MUCH, total // MUCH_SHARE)


def written(fd: int) -> int:
    """Bytes on disk of all files below an open folder; unreadable folders count as 0."""
    total = 0
    for _, _, names, folder in os.fwalk(".", dir_fd=fd):
        for name in names:
            with suppress(OSError):
                total += os.lstat(name, dir_fd=folder).st_blocks * 512
    return total


def clear(fd: int) -> None:
    """Delete all files below an open folder, as far as possible."""
    for _, _, names, folder in os.fwalk(".", dir_fd=fd):
        for name in names:
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)
