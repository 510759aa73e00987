"""One TLS connection, record by record: what asyncio's own TLS hides and the rendezvous protocol needs.

A read gives one record as its sender wrote it, and the end can be said while the other side still talks.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any

PIECE = 65_536
RECORD = 16_384
ESTABLISHED = 1
KEEP_ALIVE = {socket.TCP_KEEPIDLE: 60, socket.TCP_KEEPINTVL: 20, socket.TCP_KEEPCNT: 6}
SEND_BUFFER = 262_144
"""Bytes that the kernel may hold for a client. They are lost with this process, so the engine must have kept them
(``IN_FLIGHT`` of its session).
"""
GOODBYE = 5.0
"""Seconds that the other side has to close, too; until then what it sends is thrown away, so that it gets all that we
sent.
"""


class TlsConnection:
    """The server's side of one connection over asyncio streams. One task may read while another writes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
        self._reader, self._writer = reader, writer
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._writing = asyncio.Lock()
        self._settle()

    def _settle(self) -> None:
        """Have the kernel ask after a client of which nothing is heard, give it up after some three minutes, and hold
        back no megabytes for it.
        """
        sock = self._writer.get_extra_info("socket")
        if sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in KEEP_ALIVE.items():
                sock.setsockopt(socket.IPPROTO_TCP, option, value)

    @property
    def address(self) -> str:
        """The other side's IP address."""
        return str((self._writer.get_extra_info("peername") or ("",))[0])

    async def handshake(self) -> None:
        """Raises ssl.SSLError and ConnectionError."""
        await self._pull(self._tls.do_handshake)
        await self._flush()

    async def read(self) -> bytes:
        """One record; nothing when the other side has closed. Raises ssl.SSLError and ConnectionError."""
        try:
            return await self._pull(self._tls.read, RECORD)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""

    async def write(self, data: bytes) -> None:
        """Data up to 16 kB is one record. Returns when the kernel has nearly all of it. Raises ConnectionError."""
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view) :]
            await self._flush()

    async def _pull(self, call: Callable[..., Any], *words: Any) -> Any:
        """Call until it needs no more bytes from the network."""
        while True:
            try:
                return call(*words)
            except ssl.SSLWantReadError:
                await self._flush()
                data = await self._reader.read(PIECE)
                if data:
                    self._in.write(data)
                else:
                    self._in.write_eof()

    async def _flush(self) -> None:
        if self._out.pending:
            self._writer.write(self._out.read())
        async with self._writing:
            await self._writer.drain()

    def is_open_there(self) -> bool:
        """Whether the other side has not closed, as far as the kernel knows; sees past bytes that nobody has read
        yet.
        """
        sock = self._writer.get_extra_info("socket")
        try:
            return bool(sock) and sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED
        except OSError:
            return False

    async def finish(self) -> bool:
        """Say that nothing more will come, and wait until the other side has closed, too: then it has received
        everything. False: it has not closed.
        """
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        with contextlib.suppress(ConnectionError, TimeoutError, OSError):
            async with asyncio.timeout(GOODBYE):
                await self._flush()
                self._writer.write_eof()
                while await self._reader.read(PIECE):
                    pass
                return True
        return False

    def abort(self) -> None:
        """Cut the connection off at once; whoever reads from it gets its end."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """Give everything back."""
        self._writer.close()
        with contextlib.suppress(ConnectionError, OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                await self._writer.wait_closed()


def server_context(context: ssl.SSLContext) -> ssl.SSLContext:
    """The same context, made fit for ``TlsConnection``: a renegotiation would mix reading with writing."""
    context.options |= ssl.OP_NO_RENEGOTIATION
    return context
