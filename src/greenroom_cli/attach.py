"""The client side of a rendezvous connection: connects this terminal, or piped input, to an attached dyno over TLS.

Both directions run concurrently with back-pressure. The terminal mode is always restored.
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
from collections.abc import Callable, Iterator
from typing import Any, NoReturn
from urllib.parse import urlsplit

from greenroom_cli.errors import CliError

PIECE = 65_536
RECORD = 16_384
MOST = 262_144
"""Limit of the send buffer, in bytes: above it no more input is read."""
EOF = b"\x04"
ESCAPE = b"\x10"
INTERRUPT = b"\x03"
OWN = "eof=escaped"
HELLO = b"rendezvous\r\n"
ENDED, LOST = b"ended", b"lost"
"""The server's answers to a client that reconnects: the dyno has ended, or output is lost."""
CONNECT_SECONDS = 15.0
BACK_SECONDS, BACK_PAUSE = 90.0, 0.5
"""Timeout of reconnecting, and the pause between attempts, in seconds."""
KEPT = 16 * 1024 * 1024
"""Bytes of input that are kept for sending again after a reconnect."""
HELLO_SECONDS = 30.0
START_SECONDS = 2400.0
"""Timeout of the first connection: before a migrate the server takes a snapshot (at most 1800 s) and waits for the copy
of a rehearsal (300 s).
"""
LEAVE = 4
"""This many Ctrl-C within a second detach from a dyno that does not answer."""


class AttachError(CliError):
    """The dyno is unreachable, or the user has detached from it."""


class CutError(AttachError):
    """The dyno has ended, or the user has detached, and some of its output may be missing."""


def attach(
    url: str,
    ca_file: str,
    *,
    tty: bool,
    stdin: Any = None,
    stdout: Any = None,
    connected: Callable[[], object] = lambda: None,
) -> None:
    """Connect to ``rendezvous://host:port/TOKEN`` and copy bytes until the dyno ends.

    ca_file: the CA that must have signed the server's certificate; empty: the CAs of the system. tty: both the dyno
    and this process have a terminal. connected: called when the dyno has started.
    Raises AttachError, CutError when the dyno has ended and output may be missing, and BrokenPipeError when the reader
    of stdout has gone.
    """
    source, target = (stdin or sys.stdin).fileno(), (stdout or sys.stdout).fileno()
    sock, _ = _connect(url, ca_file)
    connected()
    pump = _Pump(source, target, tty=tty)
    with _raw(source) if tty else contextlib.nullcontext():
        while True:
            try:
                with sock:
                    pump.run(sock)
                return
            except _LostError as error:
                say = f"Connection to the dyno lost{error}. The dyno is still running. Reconnecting..."
                print(f" ▸ {say}", end="\r\n" if tty else "\n", file=sys.stderr, flush=True)
            sock = _reconnect(url, ca_file, pump)


class _LostError(Exception):
    """The connection ended without the dyno's end marker."""


def _reconnect(url: str, ca_file: str, pump: _Pump) -> ssl.SSLSocket:
    """Reconnect to the same dyno and continue at the same offset. CutError when the dyno has ended, AttachError on
    timeout.
    """
    deadline = time.monotonic() + BACK_SECONDS
    while True:
        try:
            sock, taken = _connect(url, ca_file, seen=pump.received)
        except _NoAnswerError:
            if time.monotonic() > deadline:
                raise
            time.sleep(BACK_PAUSE)
        else:
            pump.resume(taken)
            return sock


def _connect(url: str, ca_file: str, seen: int = -1) -> tuple[ssl.SSLSocket, int]:
    """(a non-blocking connection after the server's hello, bytes of input that have reached the dyno).

    seen: bytes of output that a reconnecting client already has.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "localhost", parts.port or 5002
    sock: socket.socket | None = None
    try:
        context = ssl.create_default_context()
        if ca_file:
            context.load_verify_locations(ca_file)
        sock = socket.create_connection((host, port), timeout=CONNECT_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock = tls = context.wrap_socket(sock, server_hostname=host, suppress_ragged_eofs=False)
        tls.settimeout(HELLO_SECONDS if seen >= 0 else START_SECONDS)
        back = f"&seen={seen}" if seen >= 0 else ""
        tls.sendall(f"{parts.path.lstrip('/')}?{OWN}{back}\r\n".encode())
        hello = _first_line(tls)
        words = hello.split() if hello.endswith(b"\n") else []
        if words[:1] == HELLO.split():
            tls.setblocking(False)
            return tls, int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    except ssl.SSLEOFError:
        hello, words = b"", []
    except OSError as error:
        if sock:
            sock.close()
        raise _NoAnswerError(
            f"The dyno cannot be reached at {host}:{port}: {error}.", hint="greenroom status"
        ) from error
    if sock:
        sock.close()
    raise _refusal(hello, words, f"{host}:{port}", seen)


def _refusal(hello: bytes, words: list[bytes], place: str, seen: int) -> AttachError:
    """The error for a refused connection. No answer to a reconnecting client means that the server is unavailable: the
    client tries again.
    """
    if seen >= 0 and words == [ENDED]:
        return CutError(
            "The dyno ended while the connection was lost. The end of its output may be missing.", hint="greenroom ps"
        )
    if seen >= 0 and words == [LOST]:
        return CutError(
            "Output was lost with the connection to the dyno. You are detached from it.", hint="greenroom ps"
        )
    if seen >= 0:
        return _NoAnswerError(f"The server at {place} refused to reconnect to the dyno.", hint="greenroom status")
    text = (
        "The attach URL of the dyno has expired or was already used." if not hello else f"No dyno answered at {place}."
    )
    return AttachError(text, hint="run the command again: an attach URL is valid for one client and one minute")


def _first_line(sock: ssl.SSLSocket) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < len(HELLO) + 20 and (byte := sock.recv(1)):
        line += byte
    return line


class _NoAnswerError(AttachError):
    """No answer, or no valid one. A retry may help."""


@contextlib.contextmanager
def _raw(handle: int) -> Iterator[None]:
    """Put the terminal into raw mode and restore it afterwards, also when a signal ends this process."""
    before = termios.tcgetattr(handle)
    handlers = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.signal(number, _exit_on_signal) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        terminals.setraw(handle)
        yield
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _exit_on_signal(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


def escape(data: bytes) -> bytes:
    """Escape the input, so that none of its bytes is read as end of file."""
    return data.replace(ESCAPE, ESCAPE + ESCAPE)


class _Pump:
    """Copies bytes between the terminal or pipes and the connection."""

    sock: ssl.SSLSocket

    def __init__(self, source: int, target: int, *, tty: bool) -> None:
        self.source, self.target, self.tty = source, target, tty
        self.reading = True
        self.received = self.typed = 0
        self.kept = bytearray()
        self.ended = False
        self.waiting: deque[bytes] = deque()
        self.size = 0
        self.interrupts: deque[float] = deque(maxlen=LEAVE)

    def resume(self, taken: int) -> None:
        """On a new connection: send the input again that has not reached the dyno. AttachError when it is no longer
        kept.
        """
        missing = self.typed - taken
        if missing > len(self.kept):
            raise AttachError(
                "Input was lost with the connection. You are detached from the dyno.", hint="run the command again"
            )
        rest = bytes(self.kept[len(self.kept) - missing :]) if missing > 0 else b""
        self.waiting.clear()
        self.size = 0
        self._queue(rest if self.tty else escape(rest))
        if self.ended and not self.tty:
            self._queue(ESCAPE + EOF)
        self.reading = not self.ended

    def run(self, sock: ssl.SSLSocket) -> None:
        """Copy until the dyno has ended. _LostError when the connection ends before."""
        self.sock = sock
        with selectors.PollSelector() as ready:  # poll, because epoll refuses plain files
            while self._receive():
                self._register(ready)
                seen = {key.fd: events for key, events in ready.select()}
                if self.sock.fileno() in seen:
                    self._send()
                if self.source in seen:
                    self._read()

    def _register(self, ready: selectors.PollSelector) -> None:
        """Register the file descriptors that are ready to be read or written."""
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
        """Read input. Without a terminal its end is sent as 0x10 0x04; with a terminal, end of file is a key."""
        try:
            data = os.read(self.source, PIECE)
        except OSError:  # the terminal has gone
            data = b""
        self.typed += len(data)
        self.kept += data
        del self.kept[:-KEPT]
        self.ended = not data
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
                    f"Detached from the dyno after {LEAVE} times Ctrl-C. The dyno is being stopped.",
                    hint="greenroom ps",
                )

    def _queue(self, data: bytes) -> None:
        self.waiting.extend(data[at : at + RECORD] for at in range(0, len(data), RECORD))
        self.size += len(data)

    def _send(self) -> None:
        """Send as much as the socket accepts."""
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
        """Write the dyno's output; False when it has ended."""
        while True:
            try:
                data = self.sock.recv(PIECE)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                return True
            except OSError as error:
                raise _LostError("" if isinstance(error, ssl.SSLError) else f" ({error.strerror})") from None
            if not data:
                return False
            self.received += len(data)
            view = memoryview(data)
            while view:
                view = view[os.write(self.target, view) :]
