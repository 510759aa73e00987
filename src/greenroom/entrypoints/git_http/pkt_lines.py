"""Reads the pkt-lines at the start of a request while they pass: garbage, and a push of too many refs, are refused
before git works on them.
"""

from __future__ import annotations

import re

LONGEST = 65_520
"""Bytes of a pkt-line (gitprotocol-common(5))."""
MOST_LINES = 200_000
"""Lines of one request: a clone of a repository with very many refs wants each of them."""
COMMAND = re.compile(rb"[0-9a-f]{40,64} [0-9a-f]{40,64} ")
HEX = re.compile(rb"[0-9a-fA-F]{4}\Z")


class GarbageError(Exception):
    """What came is not git's protocol."""


class TooManyRefsError(Exception):
    """The push moves more refs than are taken at once; ``sideband``: whether its client reads messages."""

    def __init__(self, sideband: bool) -> None:
        super().__init__()
        self.sideband = sideband


class Prologue:
    """refs: how many commands a push may have; the body after its flush packet, a pack, is not looked at."""

    def __init__(self, refs: int) -> None:
        self.refs = refs
        self.rest = b""
        self.lines = self.commands = 0
        self.capabilities = b""
        self.over = False

    def feed(self, data: bytes) -> None:
        """Look at the next bytes. Raises GarbageError, TooManyRefsError."""
        if self.over:
            return
        self.rest += data
        place = 0
        while len(self.rest) - place >= 4:
            size = self._size(self.rest[place : place + 4])
            if size == 0:  # flush: the commands are all there
                self.over, self.rest = True, b""
                return
            if len(self.rest) - place < size:
                break
            self._line(self.rest[place + 4 : place + size])
            place += size
        self.rest = self.rest[place:]

    def end(self) -> None:
        """The body has ended. GarbageError when that was in the middle of a line."""
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
    """An answer to a push that its client shows as ``remote: ...`` and then ends with: text on band 2, the end on band
    3.
    """
    words = [b"\x02" + line.encode() + b"\n" for line in lines] + [b"\x03refused\n"]
    return b"".join(b"%04x%s" % (len(word) + 4, word) for word in words) + b"0000"
