"""A file that still grows: the transcript of a delivery, or what a dyno prints, until something beside it says that it
is whole.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from greenroom.basics.errors import NotFoundError

PIECE = 65_536
TRANSCRIPT = re.compile(r"logs/(?:deliveries|releases)/[0-9a-f]{32}\.log\Z")
OUTPUT = re.compile(r"run/dynos/[a-z0-9][a-z0-9.-]{0,79}/output\Z")


def named(home: Path, name: str) -> Growing:
    """The file of a signed payload, relative to home. NotFoundError for any other than a transcript or an output."""
    path = home / name
    if TRANSCRIPT.match(name):
        return Growing(path, path.with_name(f"{path.name}.done"))
    if OUTPUT.match(name) and not path.is_symlink():
        return DynoOutput(path, path)
    raise NotFoundError("There is no such output.", hint="ask for a new link")


class Growing:
    """A transcript; it is whole when its ``.done`` is there."""

    def __init__(self, path: Path, mark: Path) -> None:
        self.path, self.mark = path, mark
        self.place = 0

    def ended(self) -> bool:
        """Whether nothing will be added. To be asked before reading: what was added before the mark is then still
        read.
        """
        return self.mark.exists() or (self.place > 0 and not self.path.exists())

    def more(self) -> bytes:
        """The next piece, or nothing for now."""
        try:
            handle = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        try:
            data = os.pread(handle, PIECE, self.place)
        finally:
            os.close(handle)
        self.place += len(data)
        return data


class DynoOutput(Growing):
    """What a dyno prints; it is whole when the dyno has ended, as its own folder says."""

    def ended(self) -> bool:
        """The dyno has ended or has been forgotten."""
        try:
            state = json.loads(self.path.with_name("state.json").read_bytes())
        except FileNotFoundError:
            return True
        except ValueError:
            return False
        return state.get("phase") in ("exited", "lost")
