"""A file that still grows: the transcript of a delivery, until something beside it says that it is whole."""

from __future__ import annotations

import os
import re
from pathlib import Path

from greenroom.basics.errors import NotFoundError

PIECE = 65_536
TRANSCRIPT = re.compile(r"logs/(?:deliveries|releases)/[0-9a-f]{32}\.log\Z")


def named(home: Path, name: str) -> Growing:
    """The file of a signed payload, relative to home. NotFoundError for any other than a transcript."""
    path = home / name
    if TRANSCRIPT.match(name):
        return Growing(path, path.with_name(f"{path.name}.done"))
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
