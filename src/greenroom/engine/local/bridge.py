"""Copies bytes between two stream sockets, both ways, with backpressure and half-closes, without blocking.

Used for the ingress (the router's unix socket to the app's port), the forwards (a port inside to a unix socket outside)
and the egress; the callers choose the target.
"""

from __future__ import annotations

import errno
import os
from _socket import (  # the classes of ``socket`` without its megabyte
    AF_INET,
    AF_UNIX,
    IPPROTO_TCP,
    SHUT_WR,
    SO_ERROR,
    SOCK_NONBLOCK,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_NODELAY,
    socket,
)

from greenroom.basics import unixsock
from greenroom.engine.local.loop import ERR, HUP, IN, OUT, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Dial = Callable[[], tuple[socket, bool]]

CHUNK = 65536
ROUNDS = 8
"""Chunks that one connection may transfer before the others get their turn."""
REDIAL = 0.025
"""Seconds until the retry of a connection that the app's full queue dropped; the kernel would wait one second."""
PATIENCE = 10.0
_buffer = bytearray(CHUNK)
VIEW = memoryview(_buffer)
"""What a link has just read; valid within ``_send``."""


class End:
    """One of the two sockets of a link, and the data to send to it."""

    __slots__ = ("fd", "finished", "mask", "other", "pending", "sock", "watched")

    def __init__(self, sock: socket) -> None:
        self.sock, self.fd = sock, sock.fileno()
        self.other: End = self
        self.pending: memoryview | None = None
        self.finished = False  # end of file was read from this socket
        self.mask = 0
        self.watched = False


class Link:
    """Two connected sockets; ends when both directions have ended or one has failed."""

    __slots__ = ("_done", "_left", "_loop", "_right", "open")

    def __init__(self, loop: Loop, left: socket, right: socket, done: Callable[[Link], None]) -> None:
        self._loop, self._done, self.open = loop, done, True
        self._left, self._right = End(left), End(right)
        self._left.other, self._right.other = self._right, self._left

    def start(self, first: bytes = b"") -> None:
        """Start copying. ``first``: data already read from the left, to be sent first."""
        if first:
            self._right.pending = memoryview(first)
            self._flush(self._right)
        for end in (self._left, self._right):
            if self.open:
                self._carry(end)

    def close(self) -> None:
        """Close both connections."""
        if self.open:
            self.open = False
            for end in (self._left, self._right):
                self._loop.close(end.sock.detach())
            self._done(self)

    def _ready(self, end: End, events: int) -> None:
        if events & OUT and end.pending is not None:
            self._flush(end)
        if self.open and end.mask & IN and events & (IN | HUP | ERR):
            self._carry(end)
        elif self.open and events & (HUP | ERR):
            self._hung_up(end)

    def _carry(self, end: End) -> None:
        other = end.other
        try:
            for _ in range(ROUNDS):
                if end.finished or other.pending is not None:
                    break
                size = end.sock.recv_into(_buffer)
                if size == 0:
                    self._finish(end)
                    break
                self._send(other, size)
                if size < CHUNK // 4:
                    break  # probably everything: another read would waste a system call
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        self._settle()

    def _send(self, end: End, size: int) -> None:
        try:
            sent = end.sock.send(VIEW[:size])
        except BlockingIOError:
            sent = 0
        if sent < size:
            end.pending = memoryview(bytes(VIEW[sent:size]))

    def _flush(self, end: End) -> None:
        assert end.pending is not None
        try:
            end.pending = end.pending[end.sock.send(end.pending) :]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if not end.pending:
            end.pending = None
            if end.other.finished:
                self._shut(end)
        self._settle()

    def _finish(self, end: End) -> None:
        end.finished = True
        if end.other.pending is None:
            self._shut(end.other)

    def _shut(self, end: End) -> None:
        try:  # noqa: SIM105 (contextlib is heavy)
            end.sock.shutdown(SHUT_WR)
        except OSError:
            pass  # already disconnected; the reading side detects it

    def _hung_up(self, end: End) -> None:
        """Handle a hangup of the peer: still forward the data that it sent; data for it is discarded."""
        if end.pending is not None or end.sock.getsockopt(SOL_SOCKET, SO_ERROR):
            self.close()
        elif end.watched:
            self._loop.remove(end.fd)
            end.watched = False

    def _settle(self) -> None:
        if not self.open:
            return
        left, right = self._left, self._right
        if left.finished and right.finished and left.pending is None and right.pending is None:
            self.close()
            return
        for end in (left, right):
            mask = (0 if end.finished or end.other.pending is not None else IN) | (0 if end.pending is None else OUT)
            if mask != end.mask or not end.watched:
                self._watch(end, mask)

    def _watch(self, end: End, mask: int) -> None:
        if not end.watched:
            if mask:
                end.watched, end.mask = True, mask
                self._loop.add(end.fd, mask, lambda events: self._ready(end, events))
        elif mask != end.mask:
            end.mask = mask
            self._loop.change(end.fd, mask)


class Bridge:
    """Accepts clients on a listener and links each to a socket that ``dial`` starts to connect."""

    def __init__(self, loop: Loop, listener: socket, dial: Dial, changed: Callable[[int], None] | None = None) -> None:
        self._loop, self._listener, self._dial = loop, listener, dial
        self._changed = changed
        self._links: set[object] = set()
        self._dialling = 0
        listener.setblocking(False)
        loop.add(listener.fileno(), IN, self._accept)

    @property
    def active(self) -> int:
        """Number of accepted connections that have not ended."""
        return len(self._links) + self._dialling

    def take_queued(self) -> None:
        """Accept queued connections now, so that ``active`` counts them."""
        if self._listener.fileno() >= 0:
            self._accept(0)

    def close(self) -> None:
        """Stop accepting; open connections continue."""
        fd = self._listener.detach()
        if fd >= 0:
            self._loop.close(fd)

    def _accept(self, _: int) -> None:
        for _ in range(32):
            try:
                fd, _address = self._listener._accept()  # type: ignore[attr-defined]
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._pause()
                return
            client = socket(self._listener.family, SOCK_STREAM, 0, fileno=fd)
            client.setblocking(False)
            self._serve(client)

    def _serve(self, client: socket) -> None:
        self._dialling += 1

        def done(upstream: socket | None) -> None:
            self._dialling -= 1
            self._dialled(client, upstream)

        Attempt(self._loop, self._dial, done).start()

    def _pause(self) -> None:
        fd = self._listener.fileno()
        self._loop.remove(fd)
        self._loop.at(0.1, lambda: self._loop.add(fd, IN, self._accept) if self._listener.fileno() == fd else None)

    def _dialled(self, client: socket, upstream: socket | None) -> None:
        if upstream is None:
            client.close()
            self._count()
            return
        link = self._link(client, upstream)
        self._links.add(link)
        self._count()
        link.start()

    def _link(self, client: socket, upstream: socket) -> Link:
        return Link(self._loop, client, upstream, self._ended)

    def _ended(self, link: Link) -> None:
        self._links.discard(link)
        self._count()

    def _count(self) -> None:
        if self._changed:
            self._changed(self.active)


class Attempt:
    """Connects a new socket, with retries while the other side's queue is full; passes it on, or None."""

    def __init__(self, loop: Loop, dial: Dial, done: Callable[[socket | None], None]) -> None:
        self._loop, self._dial, self._done = loop, dial, done
        self._tries = 0

    def start(self) -> None:
        """Try once; the result may arrive at once or later."""
        self._tries += 1
        try:
            sock, connected = self._dial()
        except BlockingIOError:  # a unix socket with a full queue
            self._again()
        except OSError:
            self._done(None)
        else:
            if connected:
                self._done(sock)
            else:
                self._wait(sock)

    def _wait(self, sock: socket) -> None:
        timer = self._loop.at(REDIAL, lambda: late())

        def ready(_: int) -> None:
            timer.cancel()
            self._loop.remove(sock.fileno())
            if sock.getsockopt(SOL_SOCKET, SO_ERROR):
                sock.close()
                self._done(None)
            else:
                self._done(sock)

        def late() -> None:
            self._loop.close(sock.detach())
            self._again()

        self._loop.add(sock.fileno(), OUT, ready)

    def _again(self) -> None:
        if self._tries * REDIAL > PATIENCE:
            self._done(None)
        else:
            self._loop.at(REDIAL, self.start)


def dial(family: int, address: object) -> tuple[socket, bool]:
    """Create a non-blocking socket. Returns it and whether it is already connected. Raises OSError on an immediate
    failure.
    """
    sock = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0)
    try:
        if family != AF_UNIX:
            sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        code = sock.connect_ex(address)  # type: ignore[arg-type]
        if code and (code != errno.EINPROGRESS or family == AF_UNIX):
            raise OSError(code, os.strerror(code))
    except OSError:
        sock.close()
        raise
    return sock, not code or _is_connected(sock)


def _is_connected(sock: socket) -> bool:
    """Check at once: over loopback the kernel returns "in progress" although it is done. Saves two turns of the
    loop.
    """
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def dial_unix(path: str) -> tuple[socket, bool]:
    """The same for a unix socket, with a path of any length."""
    short, fd = unixsock.address(path)
    try:
        return dial(AF_UNIX, short)
    finally:
        if fd is not None:
            os.close(fd)


def listen(port: int) -> socket:
    """Listen on 127.0.0.1 in this thread's network. Raises OSError."""
    sock = socket(AF_INET, SOCK_STREAM, 0)
    sock.bind(("127.0.0.1", port))
    sock.listen(1024)
    return sock
