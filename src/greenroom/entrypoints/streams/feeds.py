"""One reader per app's log for all who follow it: the newest lines are read once, rendered once and kept in bounded
memory.

A follower keeps nothing but its place; who falls behind reads from disk, who falls behind the disk is told so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import deque
from collections.abc import Iterator

from greenroom.basics import logfile
from greenroom.basics.logfile import Line
from greenroom.logs.drivers import positions
from greenroom.logs.rules import Wanted, write_place

log = logging.getLogger(__name__)

POLL = 0.1
KEPT = 1_000_000
"""Bytes of the newest lines that one feed holds in memory."""

Position = tuple[int, int]


def show(lines: list[Line], wanted: Wanted, *, events: bool) -> bytes:
    """The wanted ones as server-sent events, or as plain lines."""
    kept = [line for line in lines if wanted.keeps(line)]
    if events:
        text = "".join(f"id: {write_place(line.after)}\ndata: {line}\n\n" for line in kept)
    else:
        text = "".join(f"{line}\n" for line in kept)
    return text.encode("utf-8", "replace")


class Chunk:
    """Lines that were read at once, from ``before`` to ``after``."""

    __slots__ = ("after", "before", "lines", "shown", "size")

    def __init__(self, before: Position, lines: list[Line], after: Position) -> None:
        self.before, self.lines, self.after = before, lines, after
        self.size = sum(len(line.raw) for line in lines)
        self.shown: dict[tuple[Wanted, bool], bytes] = {}

    def show(self, wanted: Wanted, *, events: bool) -> bytes:
        """Rendered once for all who want the same."""
        key = (wanted, events)
        if key not in self.shown:
            self.shown[key] = show(self.lines, wanted, events=events)
        return self.shown[key]


class Feed:
    """What is new in one app's log."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.end: Position = logfile.end(folder)
        self.closed = False
        self.followers: set[asyncio.Event] = set()
        self._chunks: deque[Chunk] = deque()
        self._size = 0

    async def run(self) -> None:
        """Look for new lines until cancelled, or until the app's log has gone."""
        while not self.closed:
            pause = POLL
            try:
                if self._turn():
                    pause = 0.0
                elif not os.path.isdir(self.folder):
                    self.closed = True
                    self._stir()
            except OSError as error:
                log.warning("the log in %s cannot be read: %s", self.folder, error)
                pause = 10 * POLL
            await asyncio.sleep(pause)

    def _turn(self) -> bool:
        lines, after = positions.read_on(self.folder, self.end)
        if lines:
            self._add(Chunk(self.end, lines, after))
        self.end = after
        return bool(lines)

    def _add(self, chunk: Chunk) -> None:
        if self._chunks:
            self._chunks[-1].shown.clear()
        self._chunks.append(chunk)
        self._size += chunk.size
        while self._size > KEPT and len(self._chunks) > 1:
            self._size -= self._chunks.popleft().size
        self._stir()

    def _stir(self) -> None:
        for event in self.followers:
            event.set()

    def read(self, position: Position, wanted: Wanted, *, events: bool) -> tuple[bytes, Position] | None:
        """What comes next after a place, from memory; the same place when there is nothing yet; None: it is no longer
        in memory.
        """
        for chunk in self._chunks:
            if chunk.before == position:
                return chunk.show(wanted, events=events), chunk.after
            if chunk.before < position < chunk.after:
                rest = [line for line in chunk.lines if line.after > position]
                return show(rest, wanted, events=events), chunk.after
        return (b"", position) if position >= self.end else None


class Feeds:
    """The feeds that somebody follows; each has one task for as long as it has a follower."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[Feed, asyncio.Task[None]]] = {}

    @contextlib.contextmanager
    def follow(self, folder: str, stirred: asyncio.Event) -> Iterator[Feed]:
        """The folder's feed; ``stirred`` is set whenever it has something new."""
        if folder not in self._running:
            made = Feed(folder)
            self._running[folder] = made, asyncio.create_task(made.run())
        feed, task = self._running[folder]
        feed.followers.add(stirred)
        try:
            yield feed
        finally:
            feed.followers.discard(stirred)
            if not feed.followers:
                self._running.pop(folder, None)
                task.cancel()
