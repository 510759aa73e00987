"""The client's side of a rendezvous: ties this terminal, or piped input, to an attached dyno over TLS.

Both directions move at once and wait for one another's readers; whatever happens, the terminal is given back as it was.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import ssl
import sys
import termios
import threading
import time
import tty as terminals
from collections import deque
from collections.abc import Iterator
from typing import Any, NoReturn
from urllib.parse import urlsplit

from greenroom_cli.errors import CliError

PIECE = 65_536
RECORD = 16_384
MOST = 262_144
"""Bytes of input that wait for the network before no more are read."""
EOF = b"\x04"
ESCAPE = b"\x10"
INTERRUPT = b"\x03"
OWN = "eof=escaped"
HELLO = b"rendezvous\r\n"
CONNECT_SECONDS = 15.0
HELLO_SECONDS = 30.0
LEAVE = 4
"""So many Ctrl-C within a second leave a dyno that does not answer."""


class AttachError(CliError):
    """The dyno could not be reached, or the connection to it was left."""


def attach(url: str, ca_file: str, *, tty: bool, stdin: Any = None, stdout: Any = None) -> None:
    """Connect to ``rendezvous://host:port/TOKEN`` and move bytes until the dyno ends.

    ca_file: the CA that the server's certificate must be of; empty: the system's. tty: the dyno has a terminal and so have we.
    Raises AttachError; BrokenPipeError when nobody reads our output any more.
    """
    source, target = (stdin or sys.stdin).fileno(), (stdout or sys.stdout).fileno()
    with _connect(url, ca_file) as sock, _raw(source) if tty else contextlib.nullcontext():
        _Pump(sock, source, target, tty=tty).run()


def _connect(url: str, ca_file: str) -> ssl.SSLSocket:
    """A connection on which the server has said its hello; non-blocking."""
    parts = urlsplit(url)
    host, port = parts.hostname or "localhost", parts.port or 5002
    plain = None
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
        plain = socket.create_connection((host, port), timeout=CONNECT_SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock = context.wrap_socket(plain, server_hostname=host)
        sock.settimeout(HELLO_SECONDS)
        sock.sendall(f"{parts.path.lstrip('/')}?{OWN}\r\n".encode())
        hello = _first_line(sock)
    except OSError as error:
        if plain:
            plain.close()
        raise AttachError(f"The dyno cannot be reached at {host}:{port}: {error}.", hint="greenroom status") from error
    if hello != HELLO:
        sock.close()
        text = "waits for nobody any more" if not hello else "is not what answered at that address"
        raise AttachError(
            f"The dyno {text}.", hint="run the command again: a link is good for one client and one minute"
        )
    sock.setblocking(False)
    return sock


def _first_line(sock: ssl.SSLSocket) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < len(HELLO) and (byte := sock.recv(1)):
        line += byte
    return line


@contextlib.contextmanager
def _raw(handle: int) -> Iterator[None]:
    """The terminal in raw mode, given back even when a signal ends us."""
    before = termios.tcgetattr(handle)
    handlers = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        terminals.setraw(handle)
        yield
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _leave(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


def escape(data: bytes) -> bytes:
    """Input in which no byte can be taken for its end."""
    return data.replace(ESCAPE, ESCAPE + ESCAPE)


class _Pump:
    """Moves bytes between a terminal or pipes and the connection."""

    def __init__(self, sock: ssl.SSLSocket, source: int, target: int, *, tty: bool) -> None:
        self.sock, self.source, self.target, self.tty = sock, source, target, tty
        self.reading = True
        self.waiting: deque[bytes] = deque()
        self.size = 0
        self.interrupts: deque[float] = deque(maxlen=LEAVE)

    def run(self) -> None:
        """Until the dyno has ended."""
        with selectors.PollSelector() as ready:  # poll, because epoll refuses plain files
            while self._receive():
                self._register(ready)
                seen = {key.fd: events for key, events in ready.select()}
                if self.sock.fileno() in seen:
                    self._send()
                if self.source in seen:
                    self._read()

    def _register(self, ready: selectors.PollSelector) -> None:
        """Watch what can move now."""
        wanted = {self.sock.fileno(): selectors.EVENT_READ | (selectors.EVENT_WRITE if self.waiting else 0)}
        if self.reading and self.size < MOST:
            wanted[self.source] = selectors.EVENT_READ
        known = {key.fd: key.events for key in ready.get_map().values()}
        for fd in known.keys() - wanted.keys():
            ready.unregister(fd)
        for fd, events in wanted.items():
            if fd not in known:
                ready.register(fd, events)
            elif known[fd] != events:
                ready.modify(fd, events)

    def _read(self) -> None:
        """Input; its end is 0x10 0x04 without a terminal, and nothing at all with one: there it is a key."""
        try:
            data = os.read(self.source, PIECE)
        except OSError:  # the terminal has gone
            data = b""
        if self.tty:
            self._watch_interrupts(data)
            self._queue(data)
        else:
            self._queue(escape(data) if data else ESCAPE + EOF)
        self.reading = bool(data)
        self._send()

    def _watch_interrupts(self, data: bytes) -> None:
        if data == INTERRUPT:
            self.interrupts.append(time.monotonic())
            if len(self.interrupts) == LEAVE and self.interrupts[-1] - self.interrupts[0] < 1.0:
                raise AttachError(
                    f"You left the dyno by {LEAVE} times Ctrl-C; it has been told to end.", hint="greenroom ps"
                )

    def _queue(self, data: bytes) -> None:
        self.waiting.extend(data[at : at + RECORD] for at in range(0, len(data), RECORD))
        self.size += len(data)

    def _send(self) -> None:
        """As much as the network takes."""
        with contextlib.suppress(ssl.SSLWantWriteError, ssl.SSLWantReadError, BlockingIOError):
            while self.waiting:
                try:
                    sent = self.sock.send(self.waiting[0])
                except (ConnectionError, ssl.SSLError) as error:
                    if isinstance(error, ssl.SSLWantWriteError | ssl.SSLWantReadError):
                        raise
                    self.waiting.clear()  # the dyno has ended; its last output is still to be read
                    self.size, self.reading = 0, False
                    return
                self.size -= sent
                rest = self.waiting.popleft()[sent:]
                if rest:
                    self.waiting.appendleft(rest)

    def _receive(self) -> bool:
        """Pass the dyno's output on; False when it has ended."""
        while True:
            try:
                data = self.sock.recv(PIECE)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                return True
            except OSError as error:
                raise AttachError(f"The connection to the dyno broke off: {error}.", hint="greenroom ps") from error
            if not data:
                return False
            view = memoryview(data)
            while view:
                view = view[os.write(self.target, view) :]
