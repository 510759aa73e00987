"""The router's way into a web dyno: tells requests from long-lived connections, and ends the latter with the dyno.

A request ends by itself, so a drain waits for it. A websocket or an event stream does not: it ends after SIGTERM, in
the form that its protocol has for it, also if the app drops it.
"""

from __future__ import annotations

from time import monotonic

from greenroom.engine.local.answers import Answer
from greenroom.engine.local.bridge import VIEW, Bridge, End, Link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable

    from greenroom.engine.local.bridge import Dial
    from greenroom.engine.local.loop import Loop

LOOKS = 20
"""Checks for idle connections within the time that they may be idle."""


class Visit(Link):
    """One connection of the router; left is the router, right the app."""

    __slots__ = ("_answer", "_moved", "_since", "_way_in")

    def __init__(self, way_in: WayIn, loop: Loop, left: socket, right: socket, done: Callable[[Link], None]) -> None:
        super().__init__(loop, left, right, done)
        self._way_in, self._answer = way_in, Answer()
        self._moved, self._since = False, monotonic()

    @property
    def lasts(self) -> bool:
        """Whether the connection is long-lived."""
        return self._answer.stream is not None

    def is_idle(self, now: float, seconds: float) -> bool:
        """Whether no byte has passed for so long; to be asked regularly."""
        if self._moved:
            self._moved, self._since = False, now
        return now - self._since >= seconds

    def end_stream(self) -> None:
        """End a long-lived connection that is between two frames or chunks."""
        stream = self._answer.stream
        if self.open and stream and stream.whole and self._left.pending is None:
            self.close()

    def close(self) -> None:
        if self.open:
            self._complete()
        super().close()

    def _send(self, end: End, size: int) -> None:
        self._moved = True
        if end is self._left:
            lasted = self.lasts
            self._answer.feed(VIEW[:size])
            if self.lasts and not lasted:
                self._way_in.streams += 1
        super()._send(end, size)

    def _flush(self, end: End) -> None:
        self._moved = True
        super()._flush(end)

    def _finish(self, end: End) -> None:
        if end is self._right:
            self._complete()
        super()._finish(end)

    def _settle(self) -> None:
        super()._settle()
        if self._way_in.ending:
            self.end_stream()

    def _complete(self) -> None:
        """Send the end of a stream that an app leaves out while it stops. A crash stays visible as one."""
        stream, left = self._answer.stream, self._left
        if not stream or not self._way_in.stopping or self._right.finished:
            return
        if words := stream.missing():
            stream.feed(memoryview(words))  # once
            if left.pending is not None:
                left.pending = memoryview(bytes(left.pending) + words)
                return
            try:
                sent = left.sock.send(words)
            except BlockingIOError:
                sent = 0
            except OSError:
                return  # the client is gone
            left.pending = memoryview(words[sent:]) if sent < len(words) else None


class WayIn(Bridge):
    """Accepts the router's connections. streams: how many are long-lived. stopping: the app has got SIGTERM."""

    def __init__(
        self,
        loop: Loop,
        listener: socket,
        dial: Dial,
        changed: Callable[[int], None],
        *,
        idle: float,
        say: Callable[[str], None],
    ) -> None:
        """idle: the seconds after which a connection without data is closed, 0: never. say: for the app's log."""
        super().__init__(loop, listener, dial, changed)
        self._idle, self._say, self._looking = idle, say, False
        self.streams = 0
        self.stopping = self.ending = False

    @property
    def requests(self) -> int:
        """Number of accepted connections that will end by themselves."""
        return self.active - self.streams

    def stop(self, pause: float) -> None:
        """The app gets SIGTERM now. Long-lived connections that it leaves open end after ``pause`` seconds."""
        self.stopping = True
        self._loop.at(pause, self._end_streams)

    def _end_streams(self) -> None:
        self.ending = True
        for visit in list(self._links):
            assert isinstance(visit, Visit)
            visit.end_stream()

    def _link(self, client: socket, upstream: socket) -> Link:
        if self._idle and not self._looking:
            self._looking = True
            self._loop.at(self._idle / LOOKS, self._look)
        return Visit(self, self._loop, client, upstream, self._ended)

    def _ended(self, link: Link) -> None:
        assert isinstance(link, Visit)
        self.streams -= link.lasts
        super()._ended(link)

    def _look(self) -> None:
        """Close idle connections; look again while there are any others."""
        now = monotonic()
        idle = [visit for visit in self._links if isinstance(visit, Visit) and visit.is_idle(now, self._idle)]
        for visit in idle:
            visit.close()
        if idle:
            them = f"{len(idle)} connections were" if len(idle) > 1 else "A connection was"
            self._say(f"Error H15 (Idle connection) -> {them} closed after {self._idle:g} seconds without data")
        self._looking = bool(self._links)
        if self._looking:
            self._loop.at(self._idle / LOOKS, self._look)
