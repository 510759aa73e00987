"""A CONNECT proxy for host names that the Heroku CLI has built in: it leads each of them to this installation's own TLS port, and nowhere else.

It opens no connection to any other address, so it is of no use to anybody as a way out; it reads and keeps nothing of what passes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re

log = logging.getLogger(__name__)
LINE = re.compile(rb"CONNECT ([a-z0-9.-]+):([0-9]{1,5}) HTTP/1\.[01]\r\n", re.IGNORECASE)
HOSTS = re.compile(r"([a-z0-9-]+\.)?heroku\.com\Z")
HEAD_LIMIT, HEAD_SECONDS, IDLE_SECONDS = 16_384, 10.0, 3600.0
PIECE = 65_536
MOST = 200
"""Connections that are served at once."""


async def serve(bind: str, port: int, tls_port: int) -> None:
    """Accept for ever."""
    places = asyncio.Semaphore(MOST)

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with places:
            with contextlib.suppress(ConnectionError, TimeoutError, OSError):
                await _serve_one(reader, writer, tls_port)
            writer.close()

    server = await asyncio.start_server(one, bind, port, limit=HEAD_LIMIT)
    async with server:
        await server.serve_forever()


async def _serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls_port: int) -> None:
    refusal = await _refusal(reader)
    if refusal:
        status, text = refusal
        body = f"{text}\n".encode()
        writer.write(b"HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body))
        await writer.drain()
        return
    inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", tls_port)
    try:
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
    finally:
        inner_writer.close()


async def _refusal(reader: asyncio.StreamReader) -> tuple[bytes, str] | None:
    """Read the head; (status, text) of a request that is not served, else None."""
    try:
        async with asyncio.timeout(HEAD_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
        return b"400 Bad Request", "This is a proxy for CONNECT requests."
    match = LINE.match(head)
    if not match:
        return b"405 Method Not Allowed", "This is a proxy for CONNECT requests."
    if not HOSTS.match(match[1].decode().lower()):
        return b"403 Forbidden", "This proxy leads *.heroku.com to Greenroom and nothing anywhere else; keep other hosts out of it with NO_PROXY."
    return None


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction until its end."""
    with contextlib.suppress(ConnectionError, TimeoutError, OSError):
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                data = await reader.read(PIECE)
            if not data:
                break
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(ConnectionError, OSError, RuntimeError):
        writer.write_eof()
