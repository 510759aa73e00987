"""Reads an app's log: the last lines, and new ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from greenroom.apps.models import App
from greenroom.basics import logfile
from greenroom.logs.drivers import positions
from greenroom.logs.rules import Wanted


def last(app: App, home: Path, *, lines: int = 100, dyno: str = "", source: str = "") -> list[str]:
    """The newest ``lines`` wanted lines, oldest first."""
    wanted = Wanted(source=source, dyno=dyno)
    found, _ = logfile.read_last(str(home / app.log_folder), lines, wanted.keeps)
    return [str(line) for line in found]


def follow(
    app: App,
    home: Path,
    *,
    lines: int = 100,
    dyno: str = "",
    source: str = "",
    stop: Callable[[], bool] | None = None,
) -> Iterator[str]:
    """The newest ``lines`` wanted lines, then new ones until ``stop()`` is true. Blocks its thread."""
    folder, wanted = str(home / app.log_folder), Wanted(source=source, dyno=dyno)
    start, _ = positions.start_of_last(folder, lines, wanted.keeps)
    for line in positions.follow(folder, start, wanted, stop=stop):
        yield str(line)
