"""Parses the pkt-lines at the start of a request stream, to refuse invalid data and pushes of too many refs before git
processes them.
"""

from __future__ import annotations

import re

LONGEST = 65_520
"""Maximum length of a pkt-line in bytes (gitprotocol-common(5))."""
MOST_LINES = 200_000
"""Maximum number of lines of one request: a clone has one for each ref."""
COMMAND = re.compile(rb"[0-9a-f]{40,64} [0-9a-f]{40,64} ")
HEX = re.compile(rb"[0-9a-fA-F]{4}\Z")


class GarbageError(Exception):
    """The data is not valid git protocol."""


class TooManyRefsError(Exception):
    """The push updates too many refs; ``sideband``: whether the client supports messages."""

    def __init__(self, sideband: bool) -> None:
        super().__init__()
        self.sideband = sideband


class Prologue:
    """Parses the pkt-lines. refs: maximum number of commands of a push. Ignores the pack after the flush packet."""

    def __init__(self, refs: int) -> None:
        self.refs = refs
        self.rest = b""
        self.lines = self.commands = 0
        self.capabilities = b""
        self.over = False

    def feed(self, data: bytes) -> None:
        """Parse the next bytes. Raises GarbageError, TooManyRefsError."""
        if self.over:
            return
        self.rest += data
        place = 0
        while len(self.rest) - place >= 4:
            size = self._size(self.rest[place : place + 4])
            if size == 0:  # flush: end of the commands
                self.over, self.rest = True, b""
                return
            if len(self.rest) - place < size:
                break
            self._line(self.rest[place + 4 : place + size])
            place += size
        self.rest = self.rest[place:]

    def end(self) -> None:
        """Signal the end of the body. Raises GarbageError within a line."""
        if not self.over and self.rest:
            raise GarbageError

    def _size(self, head: bytes) -> int:
        if not HEX.match(head):
            raise GarbageError
        size = int(head, 16)
        if size in (1, 2):  # delimiter and response-end packets of version 2
            return 4
        if size == 3 or size > LONGEST:
            raise GarbageError
        return size

    def _line(self, line: bytes) -> None:
        self.lines += 1
        if self.lines > MOST_LINES:
            raise GarbageError
        if COMMAND.match(line):
            self.commands += 1
            if b"\0" in line:
                self.capabilities = line.partition(b"\0")[2]
        if self.commands > self.refs:
            raise TooManyRefsError(b"side-band-64k" in self.capabilities)


def message(*lines: str) -> bytes:
    """A response to a push, shown as ``remote: ...`` by the client, which then exits: text on band 2, end on band 3."""
    words = [b"\x02" + line.encode() + b"\n" for line in lines] + [b"\x03refused\n"]
    return b"".join(b"%04x%s" % (len(word) + 4, word) for word in words) + b"0000"
