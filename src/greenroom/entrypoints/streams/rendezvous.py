"""The rendezvous server: a TLS port for clients of attached one-off dynos, with the Heroku CLI's protocol.

It requires a signed reference, slows down guessing, and limits the number of connections.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from greenroom.basics import signing
from greenroom.basics.errors import GreenroomError, NotFoundError
from greenroom.basics.waiting_limits import Crowd
from greenroom.engine.contract import Engine
from greenroom.entrypoints.streams import rules
from greenroom.entrypoints.streams.attached import LINGER, Meeting, NoStarts, NotStartedError, OutputLostError, Starts
from greenroom.entrypoints.streams.link_holders import BusyError, Holders, Shares
from greenroom.entrypoints.streams.tls import PIECE, TlsConnection, server_context

log = logging.getLogger(__name__)

HELLO_SECONDS = 10.0
NO_LINE_END = 0.3
LONGEST = 2_000
EACH, STRANGERS = 32, 128
"""Maximum connections without a valid reference, of one address and in all; a new one replaces the one waiting for
longest.
"""
MEETINGS, MEETINGS_EACH = 256, 32
"""Maximum attached dynos of one installation and of one account."""


async def serve(
    engine: Engine,
    key: str,
    host: str,
    port: int,
    ssl_context: ssl.SSLContext,
    holders: Holders,
    starts: Starts = NoStarts(),  # noqa: B008 - stateless
    *,
    listener: socket.socket | None = None,
) -> None:
    """Run until cancelled. OSError if the port is in use. listener: a socket that listens on it already."""
    hall = Hall(engine, key, server_context(ssl_context), holders, starts)
    place: dict[str, Any] = {"sock": listener} if listener else {"host": host, "port": port}
    server = await asyncio.start_server(hall.enter, limit=PIECE, **place)
    try:
        await asyncio.get_running_loop().create_future()  # serve_forever would wait for the last client on cancellation
    finally:
        server.close()
        hall.clear()


class Doorman:
    """Counts invalid references by address; from the fifth in a minute on, the refusal is delayed by some seconds."""

    WINDOW, FREE, SECONDS, MOST = 60.0, 4, 5.0, 1_000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._bad: OrderedDict[str, list[float]] = OrderedDict()

    def delay_after_bad(self, address: str) -> float:
        """Seconds to wait before refusing this invalid reference."""
        now = self._clock()
        recent = [moment for moment in self._bad.pop(address, []) if moment > now - self.WINDOW]
        self._bad[address] = [*recent, now][-self.FREE - 1 :]
        while len(self._bad) > self.MOST:
            self._bad.popitem(last=False)
        return self.SECONDS if len(recent) >= self.FREE else 0.0


class Hall:
    """Accepts client connections."""

    def __init__(self, engine: Engine, key: str, context: ssl.SSLContext, holders: Holders, starts: Starts) -> None:
        self.engine, self.key, self.context, self.holders, self.starts = engine, key, context, holders, starts
        self.doorman = Doorman()
        self.strangers = Crowd(EACH, STRANGERS)
        self.meetings, self.shares = 0, Shares(MEETINGS_EACH, "attached dynos")
        self._inside: set[asyncio.Task] = set()
        self._revoked: set[asyncio.Task] = set()

    def clear(self) -> None:
        """Disconnect everybody; their dynos continue, and clients can reconnect to the next server."""
        for task in self._inside:
            task.cancel()

    async def enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one connection, from its first byte to its end."""
        connection = TlsConnection(reader, writer, self.context)
        task = asyncio.current_task()
        assert task is not None
        self._inside.add(task)
        try:
            if self.meetings < MEETINGS:
                await self._receive(connection)
        except (ConnectionError, TimeoutError, OSError, GreenroomError) as error:  # ssl.SSLError is an OSError
            log.info("rendezvous with %s ended: %s", connection.address, error)
        except asyncio.CancelledError:
            if task not in self._revoked:
                raise
            log.info("rendezvous with %s ended: the access was revoked", connection.address)
        finally:
            self._inside.discard(task)
            self._revoked.discard(task)
            await connection.close()

    async def _receive(self, connection: TlsConnection) -> None:
        self.strangers.enter(connection, connection.address, connection.abort)
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                await connection.handshake()
                hello = rules.read_hello(await self._first_line(connection))
            try:
                await self._meet(connection, hello)
            except NotFoundError as error:
                if hello.seen >= 0:
                    await connection.write(rules.LOST if isinstance(error, OutputLostError) else rules.ENDED)
                    await connection.finish()
                raise
        finally:
            self.strangers.left(connection)

    async def _meet(self, connection: TlsConnection, hello: rules.Hello) -> None:
        """Start the session. NotFoundError, before anything is sent, for an invalid reference or if no dyno waits for
        it.
        """
        payload = await self._check(hello.token, connection.address)
        holder = await self.holders.admit(payload)
        self.strangers.left(connection)
        self.meetings += 1
        try:
            task = asyncio.current_task()
            assert task is not None
            with self.shares.one(holder.account), self.holders.watch(holder, lambda: self._revoke(task)):
                await self._hold(Meeting(self.engine, self.starts, connection, payload, hello), task)
        except (BusyError, NotStartedError) as error:
            await _refuse(connection, payload, hello, error)
            raise
        finally:
            self.meetings -= 1

    async def _hold(self, meeting: Meeting, task: asyncio.Task) -> None:
        try:
            await meeting.hold()
        except asyncio.CancelledError:
            if task in self._revoked:
                await meeting.hang_up()
            raise

    def _revoke(self, task: asyncio.Task) -> None:
        """End the session of a client that has lost its access."""
        self._revoked.add(task)
        task.cancel()

    async def _first_line(self, connection: TlsConnection) -> bytes:
        data = b""
        while b"\n" not in data and len(data) < LONGEST:
            try:
                async with asyncio.timeout(NO_LINE_END if rules.is_whole(data) else HELLO_SECONDS):
                    piece = await connection.read()
            except TimeoutError:
                return data
            if not piece:
                raise ConnectionResetError("the client disconnected without data")
            data += piece
        return data

    async def _check(self, token: str, address: str) -> dict:
        try:
            return signing.unsign(token, key=self.key, purpose="attach")
        except GreenroomError:
            await asyncio.sleep(self.doorman.delay_after_bad(address))
            raise


async def _refuse(connection: TlsConnection, payload: dict, hello: rules.Hello, error: GreenroomError) -> None:
    """Show the reason to the user like output of the dyno. A reconnecting client gets none: it retries.

    Greenroom's own client reads why a dyno did not start from the API.
    """
    if hello.seen < 0:
        marker = rules.marker_line(1) if payload.get("marker") else b""
        await connection.write(rules.HELLO)
        if not (hello.own and isinstance(error, NotStartedError)):
            await connection.write("".join(f" !    {line}\r\n" for line in str(error).splitlines()).encode())
        await connection.write(marker)
        if not hello.own:
            await asyncio.sleep(LINGER)
        await connection.finish()
