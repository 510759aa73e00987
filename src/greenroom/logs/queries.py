"""Reads an app's log: the last lines, and what comes after a position."""

from __future__ import annotations

from pathlib import Path

from greenroom.apps.models import App
from greenroom.basics import logfile
from greenroom.logs.rules import Wanted


def last(app: App, home: Path, *, lines: int = 100, dyno: str = "", source: str = "") -> list[str]:
    """The newest ``lines`` lines that are wanted, oldest first."""
    wanted = Wanted(source=source, dyno=dyno)
    found, _ = logfile.read_last(
        str(home / app.log_folder), lines, lambda line: wanted.accepts(line.source, line.process)
    )
    return [str(line) for line in found]
