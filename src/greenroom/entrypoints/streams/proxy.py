"""A CONNECT proxy for the Heroku CLI's built-in host names: it connects each of them to this installation's own TLS
port.

It connects to no other address, so it cannot be abused as an open proxy; it neither reads nor stores the traffic. The
TLS port runs in the same process and gets each client's address from ``Clients``, for rate limits and the audit log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
from collections.abc import Callable, Iterator

from greenroom.basics.waiting_limits import Crowd

log = logging.getLogger(__name__)
LINE = re.compile(rb"CONNECT ([a-z0-9.-]+):([0-9]{1,5}) HTTP/1\.[01]\r\n", re.IGNORECASE)
HOSTS = re.compile(r"([a-z0-9-]+\.)?heroku\.com\Z")
HEAD_LIMIT, HEAD_SECONDS, IDLE_SECONDS = 16_384, 10.0, 3600.0
PIECE = 65_536
EACH, MOST = 100, 200
"""Maximum connections of one address and in all; a new one replaces the one idle for longest."""


class Clients:
    """Clients of proxied connections, by the source address of the inner connection.

    In memory, so that no other process can forge one.
    """

    def __init__(self) -> None:
        self._of: dict[tuple[str, int], str] = {}

    @contextlib.contextmanager
    def coming(self, source: tuple[str, int], address: str) -> Iterator[None]:
        """Register the client of the next connection from the source."""
        self._of[source] = address
        try:
            yield
        finally:
            self._of.pop(source, None)

    def take(self, source: tuple[str, int]) -> str:
        """Remove and return the client of a connection from the source; empty if it did not use the proxy."""
        return self._of.pop(source, "")


async def serve(bind: str, port: int, tls_port: int, clients: Clients) -> None:
    """Accept connections until cancelled."""
    crowd = Crowd(EACH, MOST)

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = (writer.get_extra_info("peername") or ("",))[0]
        crowd.enter(writer, address, writer.transport.abort)
        try:
            with contextlib.suppress(ConnectionError, TimeoutError, OSError):
                await _serve_one(reader, writer, tls_port, clients, lambda: crowd.stirred(writer))
        finally:
            crowd.left(writer)
            writer.close()

    server = await asyncio.start_server(one, bind, port, limit=HEAD_LIMIT)
    async with server:
        await server.serve_forever()


async def _serve_one(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    tls_port: int,
    clients: Clients,
    stirred: Callable[[], None],
) -> None:
    refusal = await _refusal(reader)
    if refusal:
        status, text = refusal
        body = f"{text}\n".encode()
        writer.write(
            b"HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
            % (status, len(body), body)
        )
        await writer.drain()
        return
    inner = socket.socket()
    inner.setblocking(False)
    inner.bind(("127.0.0.1", 0))  # before the connect, so that the client is known when the connection is accepted
    with clients.coming(inner.getsockname(), (writer.get_extra_info("peername") or ("",))[0]):
        try:
            await asyncio.get_running_loop().sock_connect(inner, ("127.0.0.1", tls_port))
        except BaseException:
            inner.close()
            raise
        await _join(reader, writer, inner, stirred)


async def _join(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, inner: socket.socket, stirred: Callable[[], None]
) -> None:
    inner_reader, inner_writer = await asyncio.open_connection(sock=inner)
    try:
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        outwards = asyncio.create_task(_pump(reader, inner_writer, stirred))
        try:
            await _pump(inner_reader, writer, stirred)  # the target has ended: no more data for the client
        finally:
            outwards.cancel()
    finally:
        inner_writer.close()


async def _refusal(reader: asyncio.StreamReader) -> tuple[bytes, str] | None:
    """Read the request head; (status, text) for an unsupported request, else None."""
    try:
        async with asyncio.timeout(HEAD_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
        return b"400 Bad Request", "This is a proxy for CONNECT requests."
    match = LINE.match(head)
    if not match:
        return b"405 Method Not Allowed", "This is a proxy for CONNECT requests."
    if not HOSTS.match(match[1].decode().lower()):
        return (
            b"403 Forbidden",
            ("This proxy redirects *.heroku.com to Greenroom and accepts no other hosts; exclude those with NO_PROXY."),
        )
    return None


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stirred: Callable[[], None]) -> None:
    """Copy one direction until its end."""
    with contextlib.suppress(ConnectionError, TimeoutError, OSError):
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                data = await reader.read(PIECE)
            if not data:
                break
            stirred()
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(ConnectionError, OSError, RuntimeError):
        writer.write_eof()
