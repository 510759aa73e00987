"""A delivery's output on disk, for the pusher, ``builds:output`` and the dashboard. Derived from the rows, which are
authoritative.
"""

from __future__ import annotations

import os
from pathlib import Path

DONE = ".done"
MOST = 16 * 1024 * 1024
"""Maximum bytes per read. Copied dyno output is limited to far less."""


def append(path: Path, text: str) -> None:
    """Append whole lines. The reader strips control characters other than tabs and colour sequences."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        os.write(handle, (text.rstrip("\n") + "\n").encode("utf-8", "replace"))
    finally:
        os.close(handle)


def read(path: Path) -> str:
    """The output so far, at most MOST bytes; empty if there is none."""
    try:
        with path.open("rb") as file:
            return file.read(MOST).decode("utf-8", "replace")
    except OSError:
        return ""


def close(path: Path) -> None:
    """Mark the transcript as complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(path.name + DONE).touch()


def reopen(path: Path) -> None:
    """Allow more lines, after a re-run of a check or an override."""
    path.with_name(path.name + DONE).unlink(missing_ok=True)


def is_closed(path: Path) -> bool:
    """Whether the transcript is complete."""
    return path.with_name(path.name + DONE).exists()
