"""A delivery's lines on disk: what the pusher, ``builds:output`` and the dashboard follow. Derived; the rows are the
truth.
"""

from __future__ import annotations

import os
from pathlib import Path

DONE = ".done"
MOST = 16 * 1024 * 1024
"""Bytes that are read at once; each dyno whose output is copied is cut far below that."""


def append(path: Path, text: str) -> None:
    """Add whole lines. Control characters but tab and colour sequences are left to the reader to strip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        os.write(handle, (text.rstrip("\n") + "\n").encode("utf-8", "replace"))
    finally:
        os.close(handle)


def read(path: Path) -> str:
    """The lines so far, MOST bytes at most; empty when there are none."""
    try:
        with path.open("rb") as file:
            return file.read(MOST).decode("utf-8", "replace")
    except OSError:
        return ""


def close(path: Path) -> None:
    """Mark that no more lines will come."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(path.name + DONE).touch()


def reopen(path: Path) -> None:
    """More lines will come after all: a check is run again, or an override let the commit through."""
    path.with_name(path.name + DONE).unlink(missing_ok=True)


def is_closed(path: Path) -> bool:
    """Whether ``close`` was called."""
    return path.with_name(path.name + DONE).exists()
