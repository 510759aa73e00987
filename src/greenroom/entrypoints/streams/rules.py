"""Pure rules of attached dynos: the marker that the Heroku CLI appends to a command, a client's first line, and the end
of its input.

Heroku's protocol has no way to end the input but a byte, 0x04, that may also be data. What is done about it stands at
``Piped``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

EOF = b"\x04"
ESCAPE = b"\x10"
HELLO = b"rendezvous\r\n"
ENDED, LOST = b"ended\r\n", b"lost\r\n"
"""Said instead of the hello to a client that comes back: there is no way back, or output is lost. Silence means that it
may try again.
"""
OWN = "eof=escaped"
"""The query by which Greenroom's own client says that it escapes its input."""
MARKER = "\uffff heroku-command-exit-status: "
APPENDED = re.compile(r"""\s*;\s*echo\s+(["'])(\\uFFFF|\uffff)\s+heroku-command-exit-status:\s+\$\?\1\s*\Z""")
WHOLE = re.compile(rb"/?[\w-]+\.[\w-]{43}(\?[^\s]*)?\Z")


def split_exit_marker(command: str) -> tuple[str, bool]:
    """The command without the Heroku CLI's ``; echo "\\uFFFF heroku-command-exit-status: $?"``, and whether it was
    there.
    """
    match = APPENDED.search(command)
    return (command[: match.start()], True) if match else (command, False)


def marker_line(exit_code: int) -> bytes:
    """The line by which the Heroku CLI learns the exit code; it looks for it in each piece alone, so it is sent as
    one.
    """
    return f"{MARKER}{exit_code}\n".encode()


@dataclass(frozen=True)
class Hello:
    """A client's first line: its token, whether it is Greenroom's own client, and what came after the line already."""

    token: str
    own: bool
    rest: bytes = b""
    seen: int = -1
    """A client that comes back: so many bytes of output it has; -1 for a first visit."""


def is_whole(data: bytes) -> bool:
    """Whether this is a whole reference though no line end has come: heroku3 sends none."""
    return bool(WHOLE.match(data))


def read_hello(data: bytes) -> Hello:
    """The first line of what a client sent."""
    line, _, rest = data.partition(b"\n")
    token, _, query = line.decode("latin-1").strip().lstrip("/").partition("?")
    words = query.split("&")
    seen = next((word[5:] for word in words if word.startswith("seen=")), "")
    return Hello(token, OWN in words, rest, int(seen) if seen.isdecimal() and len(seen) < 16 else -1)


class Terminal:
    """Input for a dyno with a terminal: every byte is a key. 0x04 ends nothing here, the terminal itself knows it."""

    ended = waiting = said_end = False

    def take(self, record: bytes) -> bytes:
        """What to pass on of one TLS record."""
        self.said_end = self.said_end or record.endswith(EOF)
        return record

    def silence(self) -> None:
        """Nothing has come for a while."""


class Piped(Terminal):
    """Input without a terminal from the Heroku CLI, which writes 0x04 alone when its own input has ended.

    0x04 is the end only if it is a TLS record of its own **and** nothing follows for a while; everywhere else it is
    data. (The CLI decodes
    its input as UTF-8 text and writes each piece as one record, so binary data is not what reaches us anyway.)
    """

    def take(self, record: bytes) -> bytes:
        """What to pass on; a 0x04 that may be the end is held back until the next record, or ``silence``."""
        held = EOF if self.waiting else b""
        self.waiting = record == EOF
        self.said_end = self.said_end or self.waiting
        return held if self.waiting else held + record

    def silence(self) -> None:
        """What was held back was the end."""
        self.ended, self.waiting = self.ended or self.waiting, False


class Escaped(Terminal):
    """Input without a terminal from Greenroom's own client: 0x10 0x04 is the end, 0x10 0x10 is 0x10; any byte can be
    sent.
    """

    def __init__(self) -> None:
        self._open = False

    def take(self, record: bytes) -> bytes:
        """What to pass on; an escape may be cut by the records' borders, and nothing comes after the end."""
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
