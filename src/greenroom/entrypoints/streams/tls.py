"""One TLS connection with record boundaries and half-close, which asyncio's TLS hides and the rendezvous protocol
needs.

A read returns one record as its sender wrote it; the server can signal its end while the client still sends.
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
"""Size of the kernel's send buffer for a client. Its data is lost with this process, so the engine must keep as much
(``IN_FLIGHT`` of its session).
"""
GOODBYE = 5.0
"""Seconds for the other side to close; its data is discarded meanwhile, so that it receives everything that was
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
        """Enable TCP keepalive, which gives a silent client up after some three minutes, and limit the send buffer."""
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
        """Perform the TLS handshake. ssl.SSLError or ConnectionError on failure."""
        await self._pull(self._tls.do_handshake)
        await self._flush()

    async def read(self) -> bytes:
        """One record; empty if the other side has closed. ssl.SSLError or ConnectionError on failure."""
        try:
            return await self._pull(self._tls.read, RECORD)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""

    async def write(self, data: bytes) -> None:
        """Write data; up to 16 kB is one record. Returns when the kernel has nearly all of it. ConnectionError on
        failure.
        """
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view) :]
            await self._flush()

    async def _pull(self, call: Callable[..., Any], *words: Any) -> Any:
        """Repeat a call until it needs no more bytes from the network."""
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
        """Whether the other side has not closed, as far as the kernel knows, regardless of unread bytes."""
        sock = self._writer.get_extra_info("socket")
        try:
            return bool(sock) and sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED
        except OSError:
            return False

    async def finish(self) -> bool:
        """Signal the end and wait for the other side to close, which confirms that it received everything.

        False if it has not closed.
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
        """Abort the connection; a pending read ends."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """Release all resources."""
        self._writer.close()
        with contextlib.suppress(ConnectionError, OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                await self._writer.wait_closed()


def server_context(context: ssl.SSLContext) -> ssl.SSLContext:
    """The same context, adjusted for ``TlsConnection``: without renegotiation, which would mix reads with writes."""
    context.options |= ssl.OP_NO_RENEGOTIATION
    return context
