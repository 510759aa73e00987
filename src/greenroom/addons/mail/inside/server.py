"""The program of a trap: SMTP for the app, and requests of the platform, on one port of the dyno's own network.

Standard input is the configuration, JSON: ``port``, ``user``, ``passwords`` (pairs of a SHA-256 and the end of its
validity, 0 for none), ``platform`` (the SHA-256 of the platform's password) and ``limits`` of the store.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import sys
import threading
import time

from . import letters
from .smtp import LINE, GoneError, Session
from .store import MissingError, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

CONNECTIONS, SESSIONS = 48, 16
"""Open connections, and SMTP sessions among them: the app cannot keep the platform out."""
GREETING, IDLE = 15.0, 120.0
"""Seconds without a byte until a connection is closed: at its beginning, and later."""
SWEEP = 60.0
REQUEST = 65_536
PLATFORM = b"GREENROOM "
MOST = 200
"""Entries of a list."""


class Trap:
    """The store, the credentials and the log."""

    def __init__(self, configuration: dict, folder: str) -> None:
        self.user, self.passwords = configuration["user"], configuration["passwords"]
        self.platform = configuration["platform"]
        self.store = Store(folder, configuration["limits"])
        self.sessions = threading.BoundedSemaphore(SESSIONS)
        self.parsing = threading.Lock()  # one message at a time in memory

    def say(self, text: str) -> None:
        """Write a line of the app's log."""
        print(text, flush=True)

    def knows(self, user: str, password: str) -> bool:
        """Whether user and password are valid now."""
        given = digest(password)
        valid = [word for word, until in self.passwords if not until or until > time.time()]
        return any([hmac.compare_digest(given, word) for word in valid]) and user == self.user

    def request(self, wish: dict) -> bytes:
        """The response to one request of the platform: bytes. Missing, letters.UnreadableError, KeyError and others."""
        return getattr(self, "on_" + wish["op"])(wish)

    def on_info(self, wish: dict) -> bytes:
        """Number, size and limits."""
        store = self.store
        store.expire()
        found = {"count": len(store.index), "bytes": store.total(), "first": min(store.index, default=store.last + 1)}
        return packed({**found, "last": store.last, "refused": store.refused, "limits": store.limits})

    def on_list(self, wish: dict) -> bytes:
        """Summaries, newest first, by sender, recipient and subject."""
        self.store.expire()
        words = {name: str(wish.get(name) or "").lower() for name in ("to", "from", "subject")}
        limit = max(1, min(int(wish["limit"]), MOST))
        matches = (lambda one: matching(one, words)) if any(words.values()) else None
        return packed(self.store.listed(int(wish["before"]), limit, matches))

    def on_after(self, wish: dict) -> bytes:
        """Envelopes with all recipients, oldest first, and the range of numbers."""
        found = self.store.after(int(wish["number"]), 10)
        first = min(self.store.index, default=self.store.last + 1)
        return packed({"mails": found, "first": first, "last": self.store.last})

    def on_show(self, wish: dict) -> bytes:
        """One message with its parts."""
        envelope, file = self.store.open(int(wish["number"]))
        with file, self.parsing:
            return packed({**envelope, **letters.shown(letters.read(file))})

    def on_raw(self, wish: dict) -> bytes:
        """One message as it was received: a line of JSON, then its bytes."""
        envelope, file = self.store.open(int(wish["number"]))
        with file:
            return packed({"number": envelope["number"], "from": envelope["from"]}) + b"\n" + file.read()

    def on_part(self, wish: dict) -> bytes:
        """An attachment: a line of JSON, then its bytes."""
        _, file = self.store.open(int(wish["number"]))
        with file, self.parsing:
            found = letters.attachment(letters.read(file), int(wish["part"]))
        if found is None:
            raise MissingError
        return packed({"name": found[0], "type": found[1]}) + b"\n" + found[2]

    def on_clear(self, wish: dict) -> bytes:
        """Remove all messages."""
        return packed({"cleared": self.store.clear()})

    def on_passwords(self, wish: dict) -> bytes:
        """Replace the valid passwords."""
        self.passwords = [(str(word), float(until)) for word, until in wish["passwords"]]
        return packed({})


def packed(value: object) -> bytes:
    """JSON without line ends."""
    return json.dumps(value, ensure_ascii=False).encode()


def matching(envelope: dict, words: dict) -> bool:
    """Whether an envelope contains the words of the filter, which are in lower case."""
    sender = (envelope["from"] + " " + envelope["header_from"]).lower()
    if words["from"] not in sender or words["subject"] not in envelope["subject"].lower():
        return False
    return not words["to"] or any(words["to"] in address.lower() for address in envelope["to"])


def digest(password: str) -> str:
    """The SHA-256 of a password."""
    return hashlib.sha256(password.encode("utf-8", "replace")).hexdigest()


def converse(trap: Trap, sock: socket.socket) -> None:
    """Serve one connection: the first line decides whether it is the platform's."""
    sock.settimeout(GREETING)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    file = sock.makefile("rb")
    sock.sendall(b"220 mail.localhost ESMTP Greenroom mail trap\r\n")
    first = file.readline(LINE)
    if first.startswith(PLATFORM):
        word = first[len(PLATFORM) :].strip().decode("utf-8", "replace")
        if hmac.compare_digest(digest(word), trap.platform):
            sock.settimeout(IDLE)
            serve_platform(trap, sock, file)
    elif first and trap.sessions.acquire(blocking=False):
        try:
            sock.settimeout(IDLE)
            Session(trap, sock, file).serve(first.rstrip(b"\r\n"))
        finally:
            trap.sessions.release()
    elif first:
        sock.sendall(b"421 4.3.2 Too many connections, try again later\r\n")


def serve_platform(trap: Trap, sock: socket.socket, file: BinaryIO) -> None:
    """Answer requests, a line each: ``OK SIZE`` or ``NO SIZE``, a line end, and that many bytes."""
    while line := file.readline(REQUEST):
        try:
            word, found = b"OK", trap.request(json.loads(line))
        except MissingError:
            word, found = b"NO", b"missing"
        except letters.UnreadableError:
            word, found = b"NO", b"unreadable"
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            word, found = b"NO", type(error).__name__.encode()
        sock.sendall(b"%s %d\n" % (word, len(found)))
        sock.sendall(found)


def attend(trap: Trap, sock: socket.socket, places: threading.Semaphore) -> None:
    """The thread of a connection."""
    try:
        with sock:
            converse(trap, sock)
    except (GoneError, OSError, ValueError):
        pass  # the client has left
    finally:
        places.release()


def sweep(trap: Trap) -> None:
    """Remove old messages, also when none arrive."""
    while True:
        time.sleep(SWEEP)
        trap.store.expire()


def main() -> None:
    """Listen until the end of the dyno."""
    configuration = json.load(sys.stdin)
    trap = Trap(configuration, "/data")
    places = threading.BoundedSemaphore(CONNECTIONS)
    threading.Thread(target=sweep, args=(trap,), daemon=True).start()
    with socket.create_server(("127.0.0.1", configuration["port"]), backlog=64) as listener:
        while True:
            sock, _ = listener.accept()
            places.acquire()  # more clients wait in the backlog
            threading.Thread(target=attend, args=(trap, sock, places), daemon=True).start()
