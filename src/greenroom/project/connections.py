"""Limits for connections before authentication: size and number of headers, timeouts, and idle connections.

uvicorn's parser has no limits, and its cost grows quadratically with a header's length. A request that is refused here
has not reached Django or the database.
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
"""Maximum bytes of the request line with all headers, and of chunk metadata: chunk sizes, trailers."""
HEADERS = 200
PIECE = 16_384
"""Bytes to parse between two checks of the limit."""
HEAD_SECONDS = 20.0
"""Seconds from the connection or the first byte until the headers are complete."""
BODY_SECONDS = 300.0
"""Seconds without a byte of an incomplete body. Git may pause to pack objects in the middle of a push."""
HANDSHAKE_SECONDS = 10.0
STUCK_SECONDS = 300.0
"""Seconds for a client to read the next bytes of a response."""
KEEP_ALIVE = 75
EACH, MOST = 200, 1_000
"""Maximum number of idle connections, per address and in total."""
LINGER = 2.0
"""Seconds to keep reading after a refusal, so that the client receives it before the connection closes."""
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
    """The client's address if the peer is this process's own proxy."""

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
        if self.transport is None:  # the first bytes after a TLS handshake may arrive before ``Door`` has switched
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
        self.crowd.left(self)  # the request is complete and being answered
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing() and self.cycle.response_complete:
            self._wait()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck(STUCK_SECONDS)
        self._wait()  # a client that does not read fills our memory

    def resume_writing(self) -> None:
        self._stuck(None)
        if not self.cycle.response_complete:
            self.crowd.left(self)
        super().resume_writing()

    # -- ends
    # -----------------------------------------------------------------------------------------------------------

    def _expect(self, seconds: float | None) -> None:
        """Set the client's read deadline; None: no deadline."""
        if self.deadline:
            self.deadline.cancel()
        self.deadline = self.loop.call_later(seconds, self._too_slow) if seconds else None

    def _stuck(self, seconds: float | None) -> None:
        """Set the deadline for data that we send; None: no deadline."""
        if self.stuck:
            self.stuck.cancel()
        self.stuck = self.loop.call_later(seconds, self.transport.abort) if seconds else None

    def _wait(self) -> None:
        """Mark this connection as idle, so that it may be closed in favour of others."""
        self.crowd.enter(self, self.client[0] if self.client else "", self.transport.abort)

    def _too_slow(self) -> None:
        self.deadline = None
        if self.flow is not None and self.flow.read_paused:  # reading is paused on our side
            self._expect(BODY_SECONDS)
        elif not self.transport.is_closing():
            self.transport.abort()

    def _refuse(self, why: str) -> None:
        """Respond 431 unless a response is in progress, and discard further input."""
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
    """The ASGI application with a limit of the request body by path: 413 before any of it is stored."""

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
    text = f"The request body is too large. Limit: {most // 1_000_000} MB."
    body = json.dumps({"id": "request_too_large", "message": text, "url": ""}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Door(asyncio.Protocol):
    """A connection on the TLS port until its handshake, which has its own deadline, is complete; then ``Connection``
    takes over.
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
    """The ``http`` of uvicorn's Config: creates the protocol of each new connection, with TLS if there is a context.

    client_of: returns the client's address if the peer is this process's own proxy, else an empty string.
    """

    def make(**words: Any) -> asyncio.Protocol:
        inner = Connection(**words)
        inner.crowd = crowd
        return Door(inner, context, client_of) if context else inner

    return make
