"""A dyno's egress on a host without a gateway: an HTTP proxy inside it, whose connections are made in the host's
network by threads that remain there.

Supports CONNECT and plain HTTP; ``reach`` decides which targets are allowed.
"""

from __future__ import annotations

import _queue
import _thread
import errno
import os
from _socket import AF_INET, AF_INET6, SOCK_STREAM, gaierror, getaddrinfo, inet_pton, socket

from greenroom.engine.local import addresses
from greenroom.engine.local.bridge import Link
from greenroom.engine.local.loop import IN, Loop
from greenroom.engine.local.reach import Reach, RefusedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Answer = Callable[[Any, Exception | None], None]

PORT = 61080
"""Port inside the dyno, outside the kernel's ephemeral range, so that no app binds it by accident."""
HEAD = 65536
THREADS, WAITING = 8, 1024
"""Maximum number of threads, and of jobs that wait for one."""
CONNECT_SECONDS = 10.0
HEAD_SECONDS = 30.0
_HOP = (b"proxy-connection", b"proxy-authorization", b"connection", b"keep-alive", b"te", b"upgrade")


def variables(port: int) -> dict[str, str]:
    """The environment variables that configure HTTP libraries for the proxy."""
    url, direct = f"http://127.0.0.1:{port}", "localhost,127.0.0.1,::1"
    names = {"HTTP_PROXY": url, "HTTPS_PROXY": url, "NO_PROXY": direct}
    return names | {name.lower(): value for name, value in names.items()}


class AnswerError(Exception):
    """An error response of the proxy: a status and a sentence."""

    def __init__(self, status: str, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


class Connector:
    """Threads in the network of their creator; each new one starts the next, so all stay there."""

    def __init__(self, loop: Loop) -> None:
        self._jobs: _queue.SimpleQueue[tuple[Callable[[], Any], Answer]] = _queue.SimpleQueue()
        self._answers: _queue.SimpleQueue[tuple[Answer, Any, Exception | None]] = _queue.SimpleQueue()
        self._threads, self._idle, self._lock = 1, 1, _thread.allocate_lock()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        loop.add(self._wake, IN, self._answered)
        _thread.start_new_thread(self._work, ())

    def run(self, work: Callable[[], Any], answer: Answer) -> None:
        """Call ``work`` in one of the threads, then ``answer(result, None)`` or ``answer(None, error)`` in the loop."""
        if self._jobs.qsize() >= WAITING:
            answer(None, BlockingIOError(errno.EAGAIN, "too many connections at one time"))
        else:
            self._jobs.put((work, answer))

    def _work(self) -> None:
        while True:
            work, answer = self._jobs.get()
            with self._lock:
                self._idle -= 1
                if not self._idle and self._threads < THREADS:
                    self._threads += 1
                    self._idle += 1
                    _thread.start_new_thread(self._work, ())
            try:
                result, failure = work(), None
            except Exception as error:
                result, failure = None, error
            with self._lock:
                self._idle += 1
            self._answers.put((answer, result, failure))
            os.eventfd_write(self._wake, 1)

    def _answered(self, _: int) -> None:
        os.eventfd_read(self._wake)
        while not self._answers.empty():
            answer, result, error = self._answers.get()
            answer(result, error)


def connect(host: bytes, port: int, reach: Reach | None) -> socket:
    """Connect to the first allowed address of ``host`` that answers, from this thread's network.

    reach: None if the platform, not the app, chose the address. Raises AnswerError.
    """
    try:
        found = getaddrinfo(host, port, 0, SOCK_STREAM)
    except (gaierror, OSError) as error:
        raise AnswerError("502 Bad Gateway", f"the name cannot be resolved: {error}") from None
    why = AnswerError("502 Bad Gateway", "no address answers")
    for family, _kind, _proto, _name, address in found:
        if family not in (AF_INET, AF_INET6):
            continue
        packed = inet_pton(family, str(address[0]).partition("%")[0])
        shown = addresses.text(packed)
        try:
            if reach:
                reach.learn(host.decode("latin-1").lower(), [packed])
                reach.check(packed, port)
            return _connected(family, address)
        except RefusedError as error:
            why = AnswerError("403 Forbidden", f"dynos may not connect to {shown}: {error}")
        except TimeoutError:
            why = AnswerError("504 Gateway Timeout", f"{shown} does not answer")
        except OSError as error:
            why = AnswerError("502 Bad Gateway", f"{shown}: {error.strerror}")
    raise why


def _connected(family: int, address: Any) -> socket:
    sock = socket(family, SOCK_STREAM, 0)
    try:
        sock.settimeout(CONNECT_SECONDS)
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock


class Proxy:
    """The listener inside the dyno."""

    def __init__(self, loop: Loop, listener: socket, connector: Connector, reach: Reach) -> None:
        self._loop, self._listener, self._connector, self._reach = loop, listener, connector, reach
        self._links: set[object] = set()
        listener.setblocking(False)
        loop.add(listener.fileno(), IN, self._accept)

    def _accept(self, _: int) -> None:
        try:
            fd, _address = self._listener._accept()  # type: ignore[attr-defined]
        except OSError:
            return
        client = socket(AF_INET, SOCK_STREAM, 0, fileno=fd)
        client.setblocking(False)
        Request(self._loop, client, self._dial, self._carry)

    def _dial(self, host: bytes, port: int, answer: Answer) -> None:
        self._connector.run(lambda: connect(host, port, self._reach), answer)

    def _carry(self, client: socket, upstream: socket, first: bytes) -> None:
        link = Link(self._loop, client, upstream, self._links.discard)
        self._links.add(link)
        link.start(first)


class Outward:
    """A listener inside the dyno with connections to one outside address that the platform chose: a database server."""

    def __init__(self, loop: Loop, listener: socket, connector: Connector, host: bytes, port: int) -> None:
        self._loop, self._listener, self._connector, self._address = loop, listener, connector, (host, port)
        self._links: set[object] = set()
        listener.setblocking(False)
        loop.add(listener.fileno(), IN, self._accept)

    def _accept(self, _: int) -> None:
        try:
            fd, _address = self._listener._accept()  # type: ignore[attr-defined]
        except OSError:
            return
        client = socket(AF_INET, SOCK_STREAM, 0, fileno=fd)
        client.setblocking(False)
        self._connector.run(lambda: connect(*self._address, None), lambda upstream, _: self._answered(client, upstream))

    def _answered(self, client: socket, upstream: socket | None) -> None:
        if upstream is None:
            client.close()
            return
        upstream.setblocking(False)
        link = Link(self._loop, client, upstream, self._links.discard)
        self._links.add(link)
        link.start()


class Request:
    """One client of the proxy until it is connected or refused."""

    def __init__(
        self,
        loop: Loop,
        client: socket,
        dial: Callable[[bytes, int, Answer], None],
        carry: Callable[[socket, socket, bytes], None],
    ) -> None:
        self._loop, self._client, self._dial, self._carry = loop, client, dial, carry
        self._head = b""
        self._timer = loop.at(HEAD_SECONDS, self._drop)
        loop.add(client.fileno(), IN, self._ready)

    def _ready(self, _: int) -> None:
        try:
            data = self._client.recv(HEAD)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._head += data
        if not data or len(self._head) > 2 * HEAD:
            self._drop()
        elif b"\r\n\r\n" in self._head:
            self._timer.cancel()
            self._loop.remove(self._client.fileno())  # its disconnect is irrelevant until there is an answer
            try:
                host, port, self._greeting, self._first = parse(self._head)
            except AnswerError as error:
                self._refuse(error.status, error.why)
            else:
                self._dial(host, port, self._answered)

    def _answered(self, upstream: socket | None, error: Exception | None) -> None:
        if upstream is None:
            self._refuse(error.status if isinstance(error, AnswerError) else "502 Bad Gateway", str(error))
            return
        upstream.setblocking(False)
        try:
            self._client.send(self._greeting)
        except OSError:
            self._client.close()
            upstream.close()
            return
        self._carry(self._client, upstream, self._first)

    def _refuse(self, status: str, why: str) -> None:
        body = f"Greenroom's egress: {why}\n".encode()
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        try:  # noqa: SIM105 (contextlib is heavy)
            self._client.send(head.encode() + body)
        except OSError:
            pass  # the client has disconnected
        self._drop()

    def _drop(self) -> None:
        self._timer.cancel()
        fd = self._client.detach()
        if fd >= 0:
            self._loop.close(fd)


def parse(head: bytes) -> tuple[bytes, int, bytes, bytes]:
    """Return host, port, the response to a connected client, and the first bytes for the server. Raises
    AnswerError.
    """
    lines, _, rest = head.partition(b"\r\n\r\n")
    first, *fields = lines.split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3:
        raise AnswerError("400 Bad Request", "this is not an HTTP request")
    method, target, version = words
    if method == b"CONNECT":
        host, port = split(target, 443)
        return host, port, b"HTTP/1.1 200 Connection established\r\n\r\n", rest
    scheme, found, tail = target.partition(b"://")
    if not found or scheme.lower() != b"http":
        raise AnswerError("400 Bad Request", "the proxy takes http:// addresses and CONNECT")
    at = min((tail.find(mark) for mark in (b"/", b"?") if mark in tail), default=len(tail))
    authority, path = tail[:at], tail[at:]
    host, port = split(authority.rpartition(b"@")[2], 80)
    kept = [field for field in fields if field.partition(b":")[0].strip().lower() not in _HOP]
    path = path if path.startswith(b"/") else b"/" + path
    request = b"\r\n".join([b" ".join([method, path, version]), *kept, b"Connection: close"])
    return host, port, b"", request + b"\r\n\r\n" + rest


def split(authority: bytes, default: int) -> tuple[bytes, int]:
    """Parse ``host``, ``host:80`` or ``[::1]:80``. Raises AnswerError."""
    if authority.startswith(b"["):
        host, _, rest = authority[1:].partition(b"]")
        port = rest.removeprefix(b":")
    else:
        host, _, port = authority.partition(b":")
    if not host or b"\0" in host or (port and not (port.isdigit() and 0 < int(port) < 65536)):
        raise AnswerError("400 Bad Request", "the address is not of the form host:port")
    return host, int(port or default)
