"""The one client of an attached dyno: its bytes become standard input, and it receives the dyno's output.

Applies backpressure to the dyno if the client reads slowly, and reports the end of the connection. The shim handles
signals.
"""

from __future__ import annotations

import os
from _socket import AF_UNIX, SHUT_RDWR, SOCK_STREAM, socket

from greenroom.basics import unixsock
from greenroom.engine.local.loop import ERR, HUP, IN, OUT, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "attach.sock"
MODE = 0o660
MOST = 262_144
"""Bytes of output to buffer for the client before the dyno is paused."""


class Door:
    """Accepts the client at ``attach.sock``: only one, or (``once`` is False) one after the other."""

    def __init__(
        self, loop: Loop, folder: str, entered: Callable[[socket], None], name: str = NAME, *, once: bool = True
    ) -> None:
        self._loop, self._entered, self._once = loop, entered, once
        self._path = os.path.join(folder, name)
        self._listener = socket(AF_UNIX, SOCK_STREAM, 0)
        unixsock.place(self._listener, self._path, MODE, 1)  # type: ignore[arg-type]
        self._listener.setblocking(False)
        loop.add(self._listener.fileno(), IN, self._accept)

    def close(self) -> None:
        """Accept no more clients."""
        fd = self._listener.detach()
        if fd >= 0:
            self._loop.close(fd)
            try:  # noqa: SIM105 (contextlib is heavy)
                os.unlink(self._path)
            except OSError:
                pass  # the run folder was removed

    def _accept(self, _: int) -> None:
        try:
            fd, _address = self._listener._accept()  # type: ignore[attr-defined]
        except OSError:
            return
        if self._once:
            self.close()
        client = socket(AF_UNIX, SOCK_STREAM, 0, fileno=fd)
        client.setblocking(False)
        self._entered(client)


class Client:
    """The client, and the descriptor of the dyno's standard input."""

    def __init__(self, loop: Loop, sock: socket, stdin: int, *, tty: bool, gone: Callable[[], None]) -> None:
        self._loop, self._sock, self._stdin, self._tty, self._gone = loop, sock, stdin, tty, gone
        self._fd = sock.fileno()
        self._in, self._out = b"", bytearray()
        self._eof = self._waiting = self._closing = False
        self._mask = IN
        self._resume: Callable[[], None] | None = None
        self.open = True
        self.received = self.sent = 0
        loop.add(self._fd, IN, self._ready)

    def send(self, data: bytes) -> bool:
        """Send output to the client. False: its buffer is full; ``resume`` is called when there is room again."""
        if not self.open:
            return True
        self._out += data
        self._push()
        return len(self._out) < MOST

    def when_ready(self, resume: Callable[[], None]) -> None:
        """Call ``resume`` once, as soon as there is room for more output."""
        self._resume = resume

    def finish(self) -> None:
        """Close after everything has been sent."""
        self._closing = True
        self._push()

    def drop(self) -> None:
        """Close at once."""
        if self.open:
            self.open = False
            if self._closing:
                self._close_stdin()
            try:  # noqa: SIM105 (contextlib is heavy)
                self._sock.shutdown(SHUT_RDWR)
            except OSError:
                pass  # already disconnected
            self._loop.close(self._sock.detach())

    def replace(self) -> None:
        """Close at once, without a callback, to replace the client or to end the session."""
        self._out.clear()
        self._gone = lambda: None
        self.drop()

    def take_over(self, before: Client) -> None:
        """Take over the pending input of the dyno's previous client."""
        self._stdin, before._stdin = before._stdin, -1
        self._in, before._in = before._in, b""
        self.received = before.received
        self._feed()
        self._watch()

    def forget_stdin(self) -> None:
        """Discard further input, since the process has ended."""
        self._close_stdin()

    def _ready(self, events: int) -> None:
        if events & (HUP | ERR) and not self._closing:
            self._leave()
            return
        if events & OUT:
            self._push()
        if self.open and events & IN:
            self._pull()

    def _pull(self) -> None:
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            self._leave()
            return
        self.received += len(data)
        if data:
            self._in = data if self._stdin >= 0 else b""
        else:
            self._eof = True
        self._feed()
        self._watch()

    def _feed(self) -> None:
        try:
            while self._in:
                self._in = self._in[os.write(self._stdin, self._in) :]
        except BlockingIOError:
            if not self._waiting:
                self._waiting = True
                self._loop.at(0.005, self._again)  # one descriptor reads and writes a terminal: no second watch
        except OSError:
            self._in = b""
        if self._eof and not self._in and not self._tty:
            self._close_stdin()

    def _again(self) -> None:
        self._waiting = False
        if self._stdin >= 0:
            self._feed()
            self._watch()

    def _close_stdin(self) -> None:
        if self._stdin >= 0 and not self._tty:
            os.close(self._stdin)
        self._stdin = -1
        self._in = b""

    def _push(self) -> None:
        try:
            while self.open and self._out:
                size = self._sock.send(self._out)
                del self._out[:size]
                self.sent += size
        except BlockingIOError:
            pass
        except OSError:
            self._leave()
            return
        if self.open and self._closing and not self._out:
            self.drop()
            self._gone()
        if len(self._out) < MOST // 2 and self._resume:
            resume, self._resume = self._resume, None
            resume()
        self._watch()

    def _watch(self) -> None:
        mask = (0 if self._in or self._eof else IN) | (OUT if self._out else 0)
        if self.open and mask != self._mask:
            self._mask = mask
            self._loop.change(self._fd, mask)

    def _leave(self) -> None:
        if self.open:
            self._out.clear()
            self.drop()
            self._gone()
