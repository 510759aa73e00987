"""Finds the way in an app's log: where the last lines begin, where a reader who comes again goes on, and what was
missed.

Django-free and bounded in memory whatever is asked for: it returns places and small pieces, never a whole log.
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
"""Lines that a search for rare ones goes back at most; about 40 MB."""


class _Found(Exception):  # noqa: N818 (no error: the way out of a search)
    pass


class _Search:
    """Is shown the log's lines from the newest on; knows where the ``count``-th wanted one begins."""

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
        """The line that was looked at before this one begins where this one ends."""
        same = line.after[0] == self.newer[0]
        self.newer = line.after if same else (self.newer[0], 0)
        raise _Found


def start_of_last(folder: str, count: int, keep: Callable[[Line], bool]) -> tuple[Position, Position]:
    """(where the last ``count`` lines that ``keep`` accepts begin, where the log ends now)."""
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
    """The next whole lines and where to read on; a line of ``heroku[logplex]`` first when the log was rotated away from
    under the reader.
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
    """Where a reader goes on who names the last id that it saw; None when this log has no such place between two
    lines.
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
    """The lines from one place to another, in pieces."""
    position = start
    while position < stop:
        lines, position = read_on(folder, position)
        if not lines:
            return
        yield [line for line in lines if line.after <= stop]


def follow(
    folder: str, start: Position, wanted: Wanted, *, pause: float = 0.1, stop: Callable[[], bool] | None = None
) -> Iterator[Line]:
    """Wanted lines from a place on, for ever or until ``stop()``; blocks between them."""
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
