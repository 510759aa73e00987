"""One SMTP session (RFC 5321, 4954, 1870, 6531): sign in, then messages, each kept before its 250."""

from __future__ import annotations

import base64
import binascii
import os
import re

from . import letters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket
    from typing import Any, BinaryIO

    from .store import Draft

LINE, PIECE = 8_192, 65_536
"""Bytes of a command, and of a piece of a message."""
RECIPIENTS = 1_000
FAILURES = 3
"""Wrong passwords or unknown commands until the connection is closed."""
PATH = re.compile(r"(from|to): ?<([^<>\x00-\x20\x7f]{0,320})>((?: [^\x00-\x20\x7f]{1,100}){0,10})\Z", re.IGNORECASE)
SIZE = re.compile(r" size=([0-9]{1,15})(?: |\Z)", re.IGNORECASE)
WHERE = "set EMAIL_HOST_USER and EMAIL_HOST_PASSWORD from the environment"
TLS = "set EMAIL_USE_TLS from the environment"


class GoneError(Exception):
    """The connection is over."""


class Session:
    """trap: has ``store``, ``knows(user, password)`` and ``say``. file: the buffered connection."""

    def __init__(self, trap: Any, sock: socket, file: BinaryIO) -> None:
        self.trap, self.sock, self.file = trap, sock, file
        self.signed_in = self.greeted = self.asked = False
        self.failures = 0
        self.reset()

    def reset(self) -> None:
        """Forget the message that was begun."""
        self.sender: str | None = None
        self.recipients: list[str] = []

    def answer(self, code: int, text: str | list[str]) -> None:
        """Send one reply; several lines for several texts."""
        lines = text if isinstance(text, list) else [text]
        text = "".join(f"{code}-{line}\r\n" for line in lines[:-1]) + f"{code} {lines[-1]}\r\n"
        self.sock.sendall(text.encode())

    def line(self) -> bytes:
        """The next command without its end. GoneError at the end."""
        data = self.file.readline(LINE + 1)
        if not data:
            self.explain()
            raise GoneError
        if len(data) > LINE:
            self.answer(500, "5.5.2 Line too long")
            raise GoneError
        return data.rstrip(b"\r\n")

    def serve(self, first: bytes) -> None:
        """Answer commands until the client leaves. first: its first command. GoneError, OSError."""
        line = first
        while True:
            self.command(line)
            line = self.line()

    def command(self, line: bytes) -> None:
        """Answer one command."""
        try:
            word, _, rest = line.decode("utf-8").partition(" ")
        except UnicodeDecodeError:
            word, rest = "", ""
        own = getattr(self, "do_" + word.lower(), None) if word.isascii() and word.isalpha() else None
        if own is None:
            self.fail(500, "5.5.2 Unknown command")
        else:
            own(rest.strip(" "))

    def fail(self, code: int, text: str) -> None:
        """Refuse a command; after FAILURES of them, close."""
        self.failures += 1
        if self.failures >= FAILURES:
            self.answer(421, "4.7.0 Too many errors")
            raise GoneError
        self.answer(code, text)

    def do_ehlo(self, rest: str) -> None:
        """Greeting with extensions."""
        self.reset()
        self.greeted = True
        size = self.trap.store.limits["message_bytes"]
        names = [f"SIZE {size}", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "PIPELINING", "AUTH PLAIN LOGIN"]
        self.answer(250, ["mail.localhost", *names])

    def do_helo(self, rest: str) -> None:
        """Greeting."""
        self.reset()
        self.greeted = True
        self.answer(250, "mail.localhost")

    def do_noop(self, rest: str) -> None:
        """Nothing."""
        self.answer(250, "2.0.0 OK")

    def do_rset(self, rest: str) -> None:
        """Forget the message."""
        self.reset()
        self.answer(250, "2.0.0 OK")

    def do_vrfy(self, rest: str) -> None:
        """No addresses are looked up."""
        self.answer(252, "2.5.2 The trap keeps mail for everybody")

    def do_starttls(self, rest: str) -> None:
        """No TLS: the connection does not leave the machine."""
        self.asked = True
        self.trap.say(f"a client asked for STARTTLS, which the trap lacks: {TLS}")
        self.answer(502, f"5.5.1 No TLS here: {TLS}")

    def do_quit(self, rest: str) -> None:
        """Leave."""
        self.explain()
        self.answer(221, "2.0.0 Bye")
        raise GoneError

    def explain(self) -> None:
        """Log why a client may have left without a message."""
        if self.greeted and not self.signed_in and not self.asked:
            self.trap.say(f"a client left without signing in, as settings that require TLS do: {TLS}")

    def do_auth(self, rest: str) -> None:
        """Sign in with PLAIN or LOGIN."""
        self.asked = True
        kind, _, first = rest.partition(" ")
        if self.signed_in:
            self.answer(503, "5.5.1 Already authenticated")
        elif kind.upper() == "PLAIN":
            self.sign_in(*self.plain(first.strip(" ")))
        elif kind.upper() == "LOGIN":
            user = self.decoded(first.strip(" ") or self.ask("VXNlcm5hbWU6"))
            self.sign_in(user, self.decoded(self.ask("UGFzc3dvcmQ6")))
        else:
            self.fail(504, "5.5.4 Use AUTH PLAIN or AUTH LOGIN")

    def plain(self, first: str) -> tuple[str, str]:
        """(user, password) of AUTH PLAIN."""
        parts = self.decoded(first or self.ask("")).split("\0")
        return (parts[1], parts[2]) if len(parts) == 3 else ("", "")

    def ask(self, text: str) -> str:
        """The client's response to a challenge."""
        self.answer(334, text)
        return self.line().decode("ascii", "replace")

    def decoded(self, text: str) -> str:
        """Base64 as text; empty if it is none."""
        try:
            return base64.b64decode(text, validate=True).decode("utf-8")
        except (binascii.Error, ValueError):
            return ""

    def sign_in(self, user: str, password: str) -> None:
        """Check the credentials."""
        if self.trap.knows(user, password):
            self.signed_in = True
            self.answer(235, "2.7.0 Authenticated")
        else:
            self.trap.say("a client had a wrong user or password: " + WHERE)
            self.fail(535, "5.7.8 Wrong user or password: " + WHERE)

    def do_mail(self, rest: str) -> None:
        """Begin a message."""
        found = PATH.match(rest)
        size = SIZE.search(found[3]) if found else None
        if not self.greeted:
            self.fail(503, "5.5.1 Say EHLO first")
        elif not self.signed_in:
            self.trap.say("a client sent no user and password: " + WHERE)
            self.fail(530, "5.7.0 Authentication required: " + WHERE)
        elif self.sender is not None:
            self.fail(503, "5.5.1 One message at a time")
        elif not found or found[1].lower() != "from":
            self.fail(501, "5.5.4 Syntax: MAIL FROM:<address>")
        elif size and int(size[1]) > self.trap.store.limits["message_bytes"]:
            self.too_large(int(size[1]))
        else:
            self.sender = found[2]
            self.answer(250, "2.1.0 OK")

    def too_large(self, size: int) -> None:
        """Refuse a message for its size."""
        most = self.trap.store.limits["message_bytes"]
        self.trap.store.refused += 1
        self.trap.say(f"refused a message of {size / 1e6:.1f} MB; the plan allows {most / 1e6:.1f} MB")
        self.answer(552, "5.3.4 Message too large: the plan allows %.1f MB" % (most / 1e6))

    def do_rcpt(self, rest: str) -> None:
        """Add a recipient."""
        found = PATH.match(rest)
        if self.sender is None:
            self.fail(503, "5.5.1 Say MAIL first")
        elif not found or found[1].lower() != "to" or not found[2]:
            self.fail(501, "5.5.4 Syntax: RCPT TO:<address>")
        elif len(self.recipients) >= RECIPIENTS:
            self.answer(452, f"4.5.3 Too many recipients: {RECIPIENTS} are allowed")
        else:
            self.recipients.append(found[2])
            self.answer(250, "2.1.5 OK")

    def do_data(self, rest: str) -> None:
        """Receive the message and keep it."""
        if not self.recipients:
            self.fail(503, "5.5.1 Say RCPT first")
            return
        draft = self.trap.store.draft()
        try:
            self.answer(354, "End with a line that contains only a dot")
            size = self.receive(draft)
        except BaseException:
            draft.discard()
            raise
        if size < 0:
            draft.discard()
            self.answer(452, "4.3.1 No space left")
        elif size > self.trap.store.limits["message_bytes"]:
            draft.discard()
            self.too_large(size)
        else:
            self.keep(draft)
        self.reset()

    def keep(self, draft: Draft) -> None:
        """Store the message, then acknowledge it."""
        try:
            draft.file.flush()
            facts = letters.facts(letters.start_of(draft.path))
            found = self.trap.store.keep(draft, self.sender or "", list(dict.fromkeys(self.recipients)), facts)
        except OSError as error:
            if os.path.exists(draft.path):
                draft.discard()
            self.trap.say(f"a message could not be kept: {error.strerror}")
            self.answer(452, "4.3.1 No space left")
            return
        to = "1 recipient" if found["recipients"] == 1 else f"{found['recipients']} recipients"
        self.trap.say(f"kept mail {found['number']} for {to}, {found['size'] / 1e3:.1f} kB")
        self.answer(250, f"2.0.0 Kept as mail {found['number']}")

    def receive(self, draft: Draft) -> int:
        """Read until the line with the dot; returns the size, -1 if the disk is full. Only CRLF ends a line."""
        size, begins, full, most = 0, True, False, self.trap.store.limits["message_bytes"]
        while True:
            piece = self.file.readline(PIECE)
            if not piece:
                raise GoneError
            if begins and piece == b".\r\n":
                return -1 if full else size
            if begins and piece.startswith(b"."):
                piece = piece[1:]
            size += len(piece)
            if size > 10 * most:
                self.too_large(size)
                raise GoneError
            if size <= most and not full:
                try:
                    draft.write(piece)
                except OSError:
                    full = True
            begins = piece.endswith(b"\r\n")
