"""The client's side of a rendezvous: ties this terminal, or piped input, to an attached dyno over TLS. Standard library only."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import ssl
import sys
import termios
import tty as terminals
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

PIECE = 65536
EOF = b"\x04"
HELLO = b"rendezvous\r\n"


class AttachError(Exception):
    """The dyno could not be reached."""


def attach(url: str, ca_file: str, *, tty: bool, stdin: Any = None, stdout: Any = None) -> None:
    """Connect to ``rendezvous://host:port/TOKEN`` and pump bytes until the dyno ends. Raises AttachError."""
    source = (stdin or sys.stdin).fileno()
    target = (stdout or sys.stdout).fileno()
    with _connect(url, ca_file) as sock, _raw(source) if tty else contextlib.nullcontext():
        _pump(sock, source, target, tty=tty)


def _connect(url: str, ca_file: str) -> ssl.SSLSocket:
    parts = urlsplit(url)
    context = ssl.create_default_context(cafile=ca_file)
    try:
        plain = socket.create_connection((parts.hostname or "localhost", parts.port or 5002), timeout=15)
        sock = context.wrap_socket(plain, server_hostname=parts.hostname)
        token = parts.path.lstrip("/") + (f"?{parts.query}" if parts.query else "")
        sock.sendall(token.encode() + b"\r\n")
        hello = b""
        while not hello.endswith(b"\n"):
            data = sock.recv(1)
            if not data:
                raise AttachError("the dyno is not waiting for anybody any more")
            hello += data
    except (OSError, ssl.SSLError) as error:
        raise AttachError(f"the dyno cannot be reached: {error}") from error
    if hello != HELLO:
        raise AttachError("what answered is not a rendezvous server")
    sock.setblocking(False)
    return sock


@contextlib.contextmanager
def _raw(handle: int) -> Iterator[None]:
    """The terminal in raw mode, restored whatever happens."""
    before = termios.tcgetattr(handle)
    try:
        terminals.setraw(handle)
        yield
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)


def _pump(sock: ssl.SSLSocket, source: int, target: int, *, tty: bool) -> None:
    with selectors.DefaultSelector() as ready:
        ready.register(sock, selectors.EVENT_READ)
        try:
            ready.register(source, selectors.EVENT_READ)
            plain_file = False
        except PermissionError:  # a regular file is always ready, and epoll refuses it
            plain_file = True
        reading = True
        while True:
            keys = {key.fileobj for key, _ in ready.select(0 if plain_file and reading else None)}
            if (sock in keys or sock.pending()) and not _from_dyno(sock, target):
                return
            if reading and (plain_file or source in keys):
                data = os.read(source, PIECE)
                _send(sock, data or (b"" if tty else EOF))
                if not data:
                    reading = False
                    if not plain_file:
                        ready.unregister(source)


def _from_dyno(sock: ssl.SSLSocket, target: int) -> bool:
    """Write what has come; False when the dyno has ended."""
    while True:
        try:
            data = sock.recv(PIECE)
        except (ssl.SSLWantReadError, BlockingIOError):
            return True
        except OSError:
            return False
        if not data:
            return False
        view = memoryview(data)
        while view:
            view = view[os.write(target, view) :]


def _send(sock: ssl.SSLSocket, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[sock.send(view) :]
        except (ssl.SSLWantWriteError, BlockingIOError):
            with selectors.DefaultSelector() as ready:
                ready.register(sock, selectors.EVENT_WRITE)
                ready.select(5)
        except OSError:
            return
