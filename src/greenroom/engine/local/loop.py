"""A single-threaded epoll loop with timers and callbacks.

A shim runs in it, except for the name look-ups of the egress, so no callback may block.
"""

from __future__ import annotations

import os
import select
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

IN, OUT, HUP, ERR, RDHUP = select.EPOLLIN, select.EPOLLOUT, select.EPOLLHUP, select.EPOLLERR, select.EPOLLRDHUP


class Timer:
    """A call that is due at ``when`` (monotonic seconds); ``cancel`` removes it."""

    __slots__ = ("call", "when")

    def __init__(self, when: float, call: Callable[[], None] | None) -> None:
        self.when, self.call = when, call

    def cancel(self) -> None:
        self.call = None


class Loop:
    """File descriptors and the callbacks for their events."""

    def __init__(self) -> None:
        self._epoll = select.epoll(64)
        self._calls: dict[int, Callable[[int], None]] = {}
        self._timers: list[Timer] = []
        self._dead: list[int] = []
        self._running = True

    def add(self, fd: int, events: int, call: Callable[[int], None]) -> None:
        """Call ``call(events)`` whenever ``fd`` is ready (level-triggered)."""
        self._calls[fd] = call
        self._epoll.register(fd, events)

    def change(self, fd: int, events: int) -> None:
        """Change the events to wait for."""
        self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """Stop watching; the descriptor stays open."""
        if self._calls.pop(fd, None):
            self._epoll.unregister(fd)

    def watches(self, fd: int) -> bool:
        """Whether the descriptor is watched."""
        return fd in self._calls

    def close(self, fd: int) -> None:
        """Stop watching and close at the end of the round: until then its number is not reused."""
        self._calls.pop(fd, None)
        self._dead.append(fd)

    def at(self, delay: float, call: Callable[[], None]) -> Timer:
        """Call once after ``delay`` seconds."""
        timer = Timer(monotonic() + delay, call)
        self._timers.append(timer)
        return timer

    def stop(self) -> None:
        """End ``run`` after this round."""
        self._running = False

    def run(self) -> None:
        """Run until ``stop``."""
        while self._running:
            for fd, events in self._epoll.poll(self._patience(), 128):
                call = self._calls.get(fd)
                if call:
                    call(events)
            if self._timers:
                self._ring()
            if self._dead:
                for fd in self._dead:
                    os.close(fd)
                self._dead.clear()

    def _patience(self) -> float:
        if not self._timers:
            return -1
        return max(0.0, min(timer.when for timer in self._timers) - monotonic())

    def _ring(self) -> None:
        now = monotonic()
        due = [timer for timer in self._timers if timer.when <= now or not timer.call]
        if due:
            self._timers = [timer for timer in self._timers if timer not in due]
            for timer in due:
                if timer.call:
                    timer.call()
