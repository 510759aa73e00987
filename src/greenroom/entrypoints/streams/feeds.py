"""One reader for each app's log, shared by its followers: new lines are read and rendered once and kept in bounded
memory.

A follower stores only its position. A follower behind the memory reads from disk; one behind the disk gets a notice.
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
"""Bytes of the newest lines that one feed keeps in memory."""

Position = tuple[int, int]


def show(lines: list[Line], wanted: Wanted, *, events: bool) -> bytes:
    """The wanted lines as server-sent events, or as plain text."""
    kept = [line for line in lines if wanted.keeps(line)]
    if events:
        text = "".join(f"id: {write_place(line.after)}\ndata: {line}\n\n" for line in kept)
    else:
        text = "".join(f"{line}\n" for line in kept)
    return text.encode("utf-8", "replace")


class Chunk:
    """Lines of one read, from position ``before`` to ``after``."""

    __slots__ = ("after", "before", "lines", "shown", "size")

    def __init__(self, before: Position, lines: list[Line], after: Position) -> None:
        self.before, self.lines, self.after = before, lines, after
        self.size = sum(len(line.raw) for line in lines)
        self.shown: dict[tuple[Wanted, bool], bytes] = {}

    def show(self, wanted: Wanted, *, events: bool) -> bytes:
        """The rendered lines, cached for followers with the same filter."""
        key = (wanted, events)
        if key not in self.shown:
            self.shown[key] = show(self.lines, wanted, events=events)
        return self.shown[key]


class Feed:
    """The newest lines of one app's log."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.end: Position = logfile.end(folder)
        self.closed = False
        self.followers: set[asyncio.Event] = set()
        self._chunks: deque[Chunk] = deque()
        self._size = 0

    async def run(self) -> None:
        """Read new lines until cancelled, or until the app's log is gone."""
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
        """(data, next position) after a position, from memory; unchanged position if there is nothing new.

        None if that data is no longer in memory.
        """
        for chunk in self._chunks:
            if chunk.before == position:
                return chunk.show(wanted, events=events), chunk.after
            if chunk.before < position < chunk.after:
                rest = [line for line in chunk.lines if line.after > position]
                return show(rest, wanted, events=events), chunk.after
        return (b"", position) if position >= self.end else None


class Feeds:
    """The feeds with followers; each has one task as long as it has a follower."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[Feed, asyncio.Task[None]]] = {}

    @contextlib.contextmanager
    def follow(self, folder: str, stirred: asyncio.Event) -> Iterator[Feed]:
        """The directory's feed; sets ``stirred`` on new data."""
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
