"""Rules of attached dynos: the Heroku CLI's marker in a command, a client's first line, and the end of its input. Pure.

Heroku's protocol signals the end of input by a byte, 0x04, that may also be data; see ``Piped`` for the solution.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

EOF = b"\x04"
ESCAPE = b"\x10"
HELLO = b"rendezvous\r\n"
ENDED, LOST = b"ended\r\n", b"lost\r\n"
"""Replies to a reconnecting client instead of the hello: reconnection impossible, or output lost. No reply: it may
retry.
"""
OWN = "eof=escaped"
"""The query by which Greenroom's own client announces escaped input."""
MARKER = "\uffff heroku-command-exit-status: "
APPENDED = re.compile(r"""\s*;\s*echo\s+(["'])(\\uFFFF|\uffff)\s+heroku-command-exit-status:\s+\$\?\1\s*\Z""")
WHOLE = re.compile(rb"/?[\w-]+\.[\w-]{43}(\?[^\s]*)?\Z")


def split_exit_marker(command: str) -> tuple[str, bool]:
    """The command without the Heroku CLI's ``; echo "\\uFFFF heroku-command-exit-status: $?"``, and whether it was
    present.
    """
    match = APPENDED.search(command)
    return (command[: match.start()], True) if match else (command, False)


def marker_line(exit_code: int) -> bytes:
    """The line with the exit code for the Heroku CLI, which searches each chunk separately: send it in one piece."""
    return f"{MARKER}{exit_code}\n".encode()


@dataclass(frozen=True)
class Hello:
    """A client's first line: its token, whether it is Greenroom's own client, and the data after the line."""

    token: str
    own: bool
    rest: bytes = b""
    seen: int = -1
    """Output bytes that a reconnecting client has received; -1 for a first connection."""


def is_whole(data: bytes) -> bool:
    """Whether the data is a complete reference without a line end: heroku3 sends none."""
    return bool(WHOLE.match(data))


def read_hello(data: bytes) -> Hello:
    """Parse the first line of a client's data."""
    line, _, rest = data.partition(b"\n")
    token, _, query = line.decode("latin-1").strip().lstrip("/").partition("?")
    words = query.split("&")
    seen = next((word[5:] for word in words if word.startswith("seen=")), "")
    return Hello(token, OWN in words, rest, int(seen) if seen.isdecimal() and len(seen) < 16 else -1)


class Terminal:
    """Input for a dyno with a terminal: every byte is a key. 0x04 has no special meaning here; the terminal handles
    it.
    """

    ended = waiting = said_end = False

    def take(self, record: bytes) -> bytes:
        """The data of one TLS record to forward."""
        self.said_end = self.said_end or record.endswith(EOF)
        return record

    def silence(self) -> None:
        """No data has arrived for a while."""


class Piped(Terminal):
    """Input without a terminal from the Heroku CLI, which writes a single 0x04 at the end of its own input.

    0x04 is the end only as a TLS record of its own that is followed by silence; otherwise it is data. (The CLI decodes
    its input as UTF-8 and writes each chunk as one record, so binary data does not arrive intact anyway.)
    """

    def take(self, record: bytes) -> bytes:
        """The data to forward; a 0x04 that may be the end is buffered until the next record or ``silence``."""
        held = EOF if self.waiting else b""
        self.waiting = record == EOF
        self.said_end = self.said_end or self.waiting
        return held if self.waiting else held + record

    def silence(self) -> None:
        """The buffered 0x04 was the end."""
        self.ended, self.waiting = self.ended or self.waiting, False


class Escaped(Terminal):
    """Input without a terminal from Greenroom's own client: 0x10 0x04 is the end, 0x10 0x10 is 0x10; binary safe."""

    def __init__(self) -> None:
        self._open = False

    def take(self, record: bytes) -> bytes:
        """The data to forward; record boundaries may split an escape, and data after the end is ignored."""
        data = ESCAPE + record if self._open else record
        out, place = bytearray(), 0
        self._open = False
        while not self.ended and (found := data.find(ESCAPE, place)) >= 0:
            out += data[place:found]
            code = data[found + 1 : found + 2]
            self._open, self.ended = not code, code == EOF
            out += ESCAPE if code == ESCAPE else b""
            place = found + 2
        self.said_end = self.ended
        return bytes(out if self.ended else out + data[place:])
