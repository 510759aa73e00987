"""A growing file: the transcript of a delivery, complete once its marker file exists."""

from __future__ import annotations

import os
import re
from pathlib import Path

from greenroom.basics.errors import NotFoundError

PIECE = 65_536
TRANSCRIPT = re.compile(r"logs/(?:deliveries|releases)/[0-9a-f]{32}\.log\Z")


def named(home: Path, name: str) -> Growing:
    """The file of a signed payload, relative to home. NotFoundError unless it is a transcript."""
    path = home / name
    if TRANSCRIPT.match(name):
        return Growing(path, path.with_name(f"{path.name}.done"))
    raise NotFoundError("There is no such output.", hint="request a new link")


class Growing:
    """A transcript; complete once its ``.done`` file exists."""

    def __init__(self, path: Path, mark: Path) -> None:
        self.path, self.mark = path, mark
        self.place = 0

    def ended(self) -> bool:
        """Whether the file is complete. Call it before reading, so that data written before the marker is still
        read.
        """
        return self.mark.exists() or (self.place > 0 and not self.path.exists())

    def more(self) -> bytes:
        """The next chunk; empty if there is none yet."""
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
