"""TLS at the forwards of a dyno: a client that asks for it gets it, every other client a plain link.

The first bytes of a client decide: a TLS ClientHello (``rediss://``, PostgreSQL 17's direct TLS), or PostgreSQL's
SSLRequest, which is answered with ``S``. The service behind the unix socket always gets plain bytes. The module ``ssl``
costs 4 MB, so it is imported for the first client that needs it.
"""

from __future__ import annotations

import os
from _socket import IPPROTO_TCP, TCP_QUICKACK

from greenroom.engine.local.bridge import CHUNK, ROUNDS, Bridge, Link
from greenroom.engine.local.loop import IN, OUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from _socket import socket
    from collections.abc import Callable

    from greenroom.engine.local.bridge import Dial, End
    from greenroom.engine.local.loop import Loop

SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
GSS_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x30"
CLIENT_HELLO = b"\x16\x03"
YES, NO = b"S", b"N"
"""Answers to SSLRequest and GSSENCRequest. PostgreSQL never encrypts with GSSAPI on a unix socket."""
ALPN = "postgresql"
"""The protocol that a client of direct TLS requires."""
HANDSHAKE_SECONDS = 10.0
"""Limit of a handshake, as PostgreSQL's ``authentication_timeout``."""
MOST_PENDING = 4 * CHUNK
"""Encrypted bytes that a client may leave unread. Only one that sends key updates and reads nothing exceeds it."""


class Certificate:
    """The installation's certificate for 127.0.0.1 and its private key, in PEM; loaded for the first TLS client.

    Create it before the drop of privileges.
    """

    def __init__(self, pem: bytes) -> None:
        self._pem = pem
        self._context: ssl.SSLContext | None = None
        self.received = self.clear = memoryview(b"")
        self.wants: type[OSError] = OSError
        """The exception for "more data is needed": a member, as an import in each call would take longer."""
        if os.geteuid() == 0 and not _is_open(os.path.dirname(os.__file__)):
            self.is_usable()  # the dyno's user could not import ``ssl`` later

    def is_usable(self) -> bool:
        """Whether TLS is possible. Without it the server gets a client's request for TLS, and refuses it."""
        try:
            self.context()
        except (OSError, ImportError):
            return False
        return True

    def context(self) -> ssl.SSLContext:
        """The context of all TLS clients of this dyno. Raises OSError or ImportError without a usable one."""
        if self._context is None:
            self._context = self._load()
            from ssl import SSLWantReadError

            self.wants = SSLWantReadError
            self.received, self.clear = memoryview(bytearray(CHUNK)), memoryview(bytearray(CHUNK))
        return self._context

    def _load(self) -> ssl.SSLContext:
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
        context.num_tickets = 0
        context.set_alpn_protocols([ALPN])
        fd = os.memfd_create("certificate")
        try:
            os.write(fd, self._pem)
            context.load_cert_chain(f"/proc/self/fd/{fd}")  # it takes only a path
        finally:
            os.close(fd)
        return context


def _is_open(folder: str) -> bool:
    """Whether every user may enter the folder."""
    while folder != "/":
        if not os.stat(folder).st_mode & 0o001:
            return False
        folder = os.path.dirname(folder)
    return True


class Door(Bridge):
    """A bridge whose clients may ask for TLS."""

    def __init__(self, loop: Loop, listener: socket, dial: Dial, certificate: Certificate) -> None:
        self._certificate = certificate
        super().__init__(loop, listener, dial)

    def _link(self, client: socket, upstream: socket) -> Link:
        return Entrance(self._loop, client, upstream, self._ended, self._certificate)


class Entrance(Link):
    """A link that looks at the client's first bytes. For a plain client it makes no system call more than ``Link``."""

    __slots__ = ("_certificate", "_first", "_gss", "_secure")

    def __init__(
        self, loop: Loop, left: socket, right: socket, done: Callable[[Link], None], certificate: Certificate
    ) -> None:
        super().__init__(loop, left, right, done)
        self._certificate = certificate
        self._first: bytes | None = b""  # bytes that do not decide yet; None: decided
        self._gss = False
        self._secure: SecureLink | None = None

    def _carry(self, end: End) -> None:
        if self._first is None or end is not self._left:
            super()._carry(end)
            return
        try:
            data = end.sock.recv(CHUNK)
        except BlockingIOError:
            self._settle()
        except OSError:
            self.close()
        else:
            if data:
                self._decide(self._first + data)
            else:
                self._be_plain(self._first, ended=True)

    def _decide(self, first: bytes) -> None:
        if first.startswith(GSS_REQUEST) and not self._gss:
            self._gss = True
            self._answer(NO)
            first = first[len(GSS_REQUEST) :]
        if first.startswith(CLIENT_HELLO):
            self._be_secure(first)
        elif first == SSL_REQUEST and self._certificate.is_usable():
            self._answer(YES)
            self._be_secure(b"")
        elif first.startswith(SSL_REQUEST) and self._certificate.is_usable():
            self.close()  # data before the handshake: never mixed with the encrypted data, as in PostgreSQL
        elif any(word.startswith(first) and word != first for word in (SSL_REQUEST, GSS_REQUEST, CLIENT_HELLO)):
            self._first = first
            self._settle()
        else:
            self._be_plain(first)

    def _answer(self, word: bytes) -> None:
        try:
            self._left.sock.send(word)  # the first byte to this client always fits
        except OSError:
            self.close()

    def _be_plain(self, first: bytes, *, ended: bool = False) -> None:
        self._first = None
        if first:
            self._right.pending = memoryview(first)
        if ended:
            self._finish(self._left)
        if first:
            self._flush(self._right)
        else:
            self._settle()

    def _be_secure(self, first: bytes) -> None:
        if not self.open:
            return
        if not self._certificate.is_usable():
            self.close()
            return
        self._first, self.open = None, False
        for end in (self._left, self._right):
            if end.watched:
                self._loop.remove(end.fd)
        self._secure = SecureLink(
            self._loop, self._left.sock, self._right.sock, lambda _: self._done(self), self._certificate
        )
        self._secure.start(first)


class SecureLink(Link):
    """A link whose left side speaks TLS. Its buffers are bounded: neither side is read while the other one is full."""

    __slots__ = ("_certificate", "_cut", "_in", "_out", "_shaking", "_timer", "_tls")

    def __init__(
        self, loop: Loop, left: socket, right: socket, done: Callable[[Link], None], certificate: Certificate
    ) -> None:
        from ssl import MemoryBIO

        super().__init__(loop, left, right, done)
        self._certificate = certificate
        self._in, self._out = MemoryBIO(), MemoryBIO()
        self._tls = certificate.context().wrap_bio(self._in, self._out, server_side=True)
        self._shaking = True
        self._cut = False  # the client's end of file was read; OpenSSL is not told, as it would also end the answers
        self._timer = loop.at(HANDSHAKE_SECONDS, self._late)

    def start(self, first: bytes = b"") -> None:
        """Start the handshake. ``first``: the encrypted data that was already read."""
        self._in.write(first)
        self._guard(self._advance if first else self._receive)

    def close(self) -> None:
        """Close both connections."""
        self._timer.cancel()
        super().close()

    def _late(self) -> None:
        if self._shaking:
            self.close()

    def _carry(self, end: End) -> None:
        self._guard(self._receive if end is self._left else self._encrypt)

    def _flush(self, end: End) -> None:
        super()._flush(end)
        if self.open and end is self._right and end.pending is None:
            self._guard(self._advance)  # the rest of what was received while the server was full

    def _guard(self, step: Callable[[], None]) -> None:
        try:
            step()
        except BlockingIOError:
            pass
        except OSError:  # also every error of TLS
            self._fail()
        self._settle()

    def _fail(self) -> None:
        """Close, after the alert that tells the client why."""
        try:
            self._emit()
        except OSError:
            pass
        finally:
            self.close()

    def _receive(self) -> None:
        """Read from the client, decrypt, and send to the server."""
        received = self._certificate.received
        for _ in range(ROUNDS):
            if not self.open or self._left.finished or self._right.pending is not None:
                return
            size = self._left.sock.recv_into(received)
            if size:
                self._in.write(received[:size])
            self._cut = not size
            self._advance()
            if size < CHUNK // 4:
                return

    def _advance(self) -> None:
        """Use the received bytes: first for the handshake, then for the server until it is full."""
        if self._shaking:
            self._shake()
        while self.open and not (self._shaking or self._left.finished or self._right.pending is not None):
            size, ended = self._decrypt()
            if size:
                self._pass_on(size)
            if ended:
                self._finish(self._left)
            elif not size:
                break
        self._emit()

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
        except self._certificate.wants:
            if self._cut:
                self.close()
            return
        self._shaking = False
        self._timer.cancel()
        # the last words of the handshake have no answer: a client that waits for their receipt would wait 40 ms
        self._left.sock.setsockopt(IPPROTO_TCP, TCP_QUICKACK, 1)

    def _decrypt(self) -> tuple[int, bool]:
        """(bytes in ``clear``, whether the client has ended, with or without TLS's close_notify)."""
        clear, size = self._certificate.clear, 0
        try:
            while True:
                part = self._tls.read(CHUNK - size, clear[size:])
                if not part:
                    return size, True
                size += int(part)
                if size == CHUNK or not (self._in.pending or self._tls.pending() or self._cut):
                    return size, False  # one more read would raise, which takes as long as all the rest
        except self._certificate.wants:
            return size, self._cut
        except OSError as error:
            if type(error).__name__ != "SSLZeroReturnError":  # the client's close_notify, after ours
                raise
            return size, True

    def _pass_on(self, size: int) -> None:
        clear = self._certificate.clear
        try:
            sent = self._right.sock.send(clear[:size])
        except BlockingIOError:
            sent = 0
        if sent < size:
            self._right.pending = memoryview(bytes(clear[sent:size]))

    def _encrypt(self) -> None:
        """Read from the server, encrypt, and send to the client."""
        received = self._certificate.received
        for _ in range(ROUNDS):
            if self._shaking or not self.open or self._right.finished or self._left.pending is not None:
                return
            size = self._right.sock.recv_into(received)
            if not size:
                self._end_right()
                return
            view = received[:size]
            while view:
                view = view[self._tls.write(view) :]
            self._emit()
            if size < CHUNK // 4:
                return

    def _end_right(self) -> None:
        """Tell the client that the server sends no more: close_notify, then the end of the connection's half."""
        from ssl import SSLError

        self._right.finished = True
        try:  # noqa: SIM105 (contextlib is heavy)
            self._tls.unwrap()
        except SSLError:
            pass  # it waits for the client's own close_notify, which may come later or never
        self._emit()
        if self._left.pending is None:
            self._shut(self._left)

    def _emit(self) -> None:
        """Send what TLS has for the client."""
        data = self._out.read()
        if not data or not self.open:
            return
        waiting = self._left.pending
        if waiting is not None:
            if len(waiting) > MOST_PENDING:
                self.close()
                return
            self._left.pending = memoryview(bytes(waiting) + data)
            return
        try:
            sent = self._left.sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._left.pending = memoryview(data)[sent:]

    def _settle(self) -> None:
        if not self._shaking:
            super()._settle()
        elif self.open:
            self._watch(self._left, IN | (0 if self._left.pending is None else OUT))
