"""Finds positions in an app's log: the start of the last lines, the position of a returning reader, and dropped lines.

Django-free, with bounded memory: returns positions and small chunks, never a whole log.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from greenroom.basics import logfile
from greenroom.basics.logfile import START, Line
from greenroom.logs.rules import LOGPLEX, read_place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from greenroom.basics.logfile import Position
    from greenroom.logs.rules import Wanted

PIECE = 65_536
LOOKED_AT = 400_000
"""Maximum number of lines that a search for rare lines reads backwards; about 40 MB."""


class _Found(Exception):  # noqa: N818 (not an error: ends a search)
    pass


class _Search:
    """Receives the log's lines from the newest on and finds the start of the ``count``-th wanted one."""

    def __init__(self, count: int, keep: Callable[[Line], bool], stop: Position) -> None:
        self.left, self.keep, self.stop = count, keep, stop
        self.patience = LOOKED_AT
        self.newer = stop

    def __call__(self, line: Line) -> bool:
        if line.after > self.stop:
            return False
        self.patience -= 1
        if not self.left or not self.patience:
            self._leave(line)
        self.newer = line.after
        self.left -= self.keep(line)
        return False

    def _leave(self, line: Line) -> None:
        """The line read before this one starts where this one ends."""
        same = line.after[0] == self.newer[0]
        self.newer = line.after if same else (self.newer[0], 0)
        raise _Found


def start_of_last(folder: str, count: int, keep: Callable[[Line], bool]) -> tuple[Position, Position]:
    """(start of the last ``count`` lines that ``keep`` accepts, end of the log)."""
    stop = logfile.end(folder)
    if count <= 0:
        return stop, stop
    search = _Search(count, keep, stop)
    try:
        logfile.read_last(folder, 1, search)
    except _Found:
        return search.newer, stop
    return START, stop


def read_on(folder: str, position: Position, limit: int = PIECE) -> tuple[list[Line], Position]:
    """The next complete lines and the position after them. If rotation removed lines that were not read, the first line
    is a notice of ``heroku[logplex]``.
    """
    lines, after = logfile.read_from(folder, position, limit)
    if lines and position != START and lines[0].after[0] != position[0]:
        gone = position[0] not in logfile.segments(folder)
        return ([_note(position), *lines] if gone else lines), after
    return lines, after


def _note(position: Position) -> Line:
    text = "Error L10 (output buffer overflow): messages dropped, this reader was too slow for the log."
    return Line(f"{logfile.stamp(time.time())} heroku[{LOGPLEX}]: {text}", position)


def resume(folder: str, text: str) -> Position | None:
    """The position of a returning reader, from the last id that it received; None if the log has no line boundary
    there.
    """
    place = read_place(text)
    numbers = logfile.segments(folder)
    if place is None or not numbers or place[0] > numbers[-1]:
        return None
    if place[0] < numbers[0] or place[1] == 0:
        return place
    lines, _ = logfile.read_from(folder, (place[0], place[1] - 1), 1)
    between = bool(lines) and not lines[0].raw and lines[0].after == place
    return place if between else None


def between(folder: str, start: Position, stop: Position) -> Iterator[list[Line]]:
    """The lines between two positions, in chunks."""
    position = start
    while position < stop:
        lines, position = read_on(folder, position)
        if not lines:
            return
        yield [line for line in lines if line.after <= stop]


def follow(
    folder: str, start: Position, wanted: Wanted, *, pause: float = 0.1, stop: Callable[[], bool] | None = None
) -> Iterator[Line]:
    """Yield wanted lines from a position on, forever or until ``stop()``; blocks in between."""
    position = start
    while True:
        ending = stop is not None and stop()
        lines, position = read_on(folder, position)
        yield from filter(wanted.keeps, lines)
        if lines:
            continue
        if ending:
            return
        time.sleep(pause)
