"""What a connection may cost before anybody knows who it is: bytes and number of headers, seconds for them, and idle
connections.

uvicorn's parser has no limit of its own, and its cost grows with the square of a header's length. A request that is
refused here has
touched neither Django nor a row.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from greenroom.basics.waiting_limits import Crowd

log = logging.getLogger(__name__)

HEAD_BYTES = 65_536
"""Of the request line with all headers, and of what stands between two pieces of a body: chunk sizes, trailers."""
HEADERS = 200
PIECE = 16_384
"""So much is parsed before the limit is looked at again."""
HEAD_SECONDS = 20.0
"""From the first byte, or from the connection, until the headers are whole."""
BODY_SECONDS = 300.0
"""Without a byte of a body that is not whole. Git packs objects for a while in the middle of a push."""
HANDSHAKE_SECONDS = 10.0
STUCK_SECONDS = 300.0
"""For a client to take the next bytes of an answer."""
KEEP_ALIVE = 75
EACH, MOST = 200, 1_000
"""Connections on which no request is being answered, of one address and in all."""
LINGER = 2.0
"""Seconds to read on after a refusal, so that the client sees it before the connection is gone."""
ClientOf = Callable[[tuple[str, int]], str]


class Connection(HttpToolsProtocol):
    """One connection of the API, git and streams."""

    crowd: Crowd
    head = fields = 0
    early = b""
    waiting = True
    deadline: asyncio.TimerHandle | None = None
    stuck: asyncio.TimerHandle | None = None
    refused = lost = False
    behind = ""
    """The address of the client when the peer is this process's own proxy."""

    def connection_made(self, transport: Any) -> None:
        if self.lost:
            return
        super().connection_made(transport)
        if self.behind:
            self.client = (self.behind, 0)
        self._expect(HEAD_SECONDS)
        self._wait()
        if self.early:
            self.data_received(self.early)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.crowd.left(self)
        self._expect(None)
        self._stuck(None)
        if self.transport is not None:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport is None:  # the first bytes behind a TLS handshake may be faster than ``Door``
            self.early += data
            return
        if self.refused:
            return
        self.crowd.stirred(self)
        rest = memoryview(data)
        while rest and not self.refused and not self.transport.is_closing():
            piece, rest = bytes(rest[:PIECE]), rest[PIECE:]
            self.head += len(piece)
            super().data_received(piece)
            if self.head > HEAD_BYTES:
                self._refuse(f"more than {HEAD_BYTES // 1024} KB")
        if self.waiting and self.head and self.deadline is None:
            self._expect(HEAD_SECONDS)

    # -- callbacks of the parser
    # ----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.fields, self.waiting = 0, True

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields += 1
        if self.fields > HEADERS:
            self._refuse(f"more than {HEADERS}")
        else:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.refused:
            return
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > HEAD_BYTES:
            self._refuse(f"more than {HEAD_BYTES // 1024} KB")
            return
        self.head, self.waiting = 0, False
        self._expect(BODY_SECONDS)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self.refused:
            return
        self.head = 0
        self._expect(BODY_SECONDS)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.refused:
            return
        self.head, self.waiting = 0, True
        self._expect(None)
        self.crowd.left(self)  # its request is whole: it is being answered
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing() and self.cycle.response_complete:
            self._wait()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck(STUCK_SECONDS)
        self._wait()  # a client that reads nothing keeps what it was sent in our memory

    def resume_writing(self) -> None:
        self._stuck(None)
        if not self.cycle.response_complete:
            self.crowd.left(self)
        super().resume_writing()

    # -- ends
    # -----------------------------------------------------------------------------------------------------------

    def _expect(self, seconds: float | None) -> None:
        """Set the deadline by which the client has to have gone on; None: there is nothing to wait for."""
        if self.deadline:
            self.deadline.cancel()
        self.deadline = self.loop.call_later(seconds, self._too_slow) if seconds else None

    def _stuck(self, seconds: float | None) -> None:
        """The same for what we send."""
        if self.stuck:
            self.stuck.cancel()
        self.stuck = self.loop.call_later(seconds, self.transport.abort) if seconds else None

    def _wait(self) -> None:
        """Be one of those that may be sent away for others."""
        self.crowd.enter(self, self.client[0] if self.client else "", self.transport.abort)

    def _too_slow(self) -> None:
        self.deadline = None
        if self.flow is not None and self.flow.read_paused:  # it is we who do not read
            self._expect(BODY_SECONDS)
        elif not self.transport.is_closing():
            self.transport.abort()

    def _refuse(self, why: str) -> None:
        """Answer 431 unless something is being answered, and throw away what still comes."""
        if self.refused:
            return
        self.refused = True
        self._unset_keepalive_if_required()
        text = f"The request's headers are too large: {why}.\n".encode()
        if self.cycle is None or self.cycle.response_complete:
            head = (
                b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain;"
                b" charset=utf-8\r\nConnection: close\r\n"
            )
            self.transport.write(head + b"Content-Length: %d\r\n\r\n%s" % (len(text), text))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._expect(None)
        self.loop.call_later(LINGER, self.transport.abort)


def bounded(app: Any, most_of: Callable[[str], int]) -> Any:
    """The ASGI application with a limit of the request's body by path: 413 before anything of it is kept."""

    async def application(scope: dict, receive: Any, send: Any) -> None:
        most = most_of(scope.get("path", ""))
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not declared.isdigit() or len(declared) > 18 or int(declared) > most:
            return await _too_large(send, most)
        left = most

        async def counted() -> Any:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            return message if left >= 0 else {"type": "http.disconnect"}

        await app(scope, counted, send)
        return None

    return application


async def _too_large(send: Any, most: int) -> None:
    text = f"The request body is too large: at most {most // 1_000_000} MB."
    body = json.dumps({"id": "request_too_large", "message": text, "url": ""}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Door(asyncio.Protocol):
    """A connection of the TLS port until its handshake is over, which has its own deadline; then ``Connection`` takes
    it.
    """

    def __init__(self, inner: Connection, context: ssl.SSLContext, client_of: ClientOf) -> None:
        self.inner, self.context, self.client_of = inner, context, client_of

    def connection_made(self, transport: Any) -> None:
        peer = transport.get_extra_info("peername") or ("", 0)
        self.inner.behind = self.client_of(peer[:2])
        self.inner.crowd.enter(self, self.inner.behind or peer[0], transport.abort)
        self.task = asyncio.get_running_loop().create_task(self._open(transport))

    def connection_lost(self, exc: Exception | None) -> None:
        self.inner.crowd.left(self)

    async def _open(self, transport: Any) -> None:
        try:
            inside = await asyncio.get_running_loop().start_tls(
                transport, self.inner, self.context, server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            log.debug("no TLS: %s", error)
            transport.abort()
            return
        finally:
            self.inner.crowd.left(self)
        if inside is not None:
            self.inner.connection_made(inside)


def protocol(crowd: Crowd, context: ssl.SSLContext | None = None, client_of: ClientOf = lambda peer: "") -> Any:
    """The ``http`` of uvicorn's Config: makes the protocol of each new connection, with TLS where there is a context.

    client_of: the client's address behind a peer that is this process's own proxy; empty for all others.
    """

    def make(**words: Any) -> asyncio.Protocol:
        inner = Connection(**words)
        inner.crowd = crowd
        return Door(inner, context, client_of) if context else inner

    return make
