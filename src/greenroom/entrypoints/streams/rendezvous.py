"""The rendezvous server: a TLS port where clients of attached one-off dynos say which one, in the Heroku CLI's
protocol.

It lets in whoever brings a signed reference, slows down who guesses, and keeps the number of connections bounded.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable

from greenroom.basics import signing
from greenroom.basics.errors import GreenroomError, NotFoundError
from greenroom.basics.waiting_limits import Crowd
from greenroom.engine.contract import Engine
from greenroom.entrypoints.streams import rules
from greenroom.entrypoints.streams.attached import Meeting, OutputLostError
from greenroom.entrypoints.streams.link_holders import BusyError, Holders, Shares
from greenroom.entrypoints.streams.tls import PIECE, TlsConnection, server_context

log = logging.getLogger(__name__)

HELLO_SECONDS = 10.0
NO_LINE_END = 0.3
LONGEST = 2_000
EACH, STRANGERS = 32, 128
"""Connections that have not shown a good reference yet, of one address and in all; the one that has waited longest goes
for a new one.
"""
MEETINGS, MEETINGS_EACH = 256, 32
"""Attached dynos of one installation, and those of one account."""


async def serve(engine: Engine, key: str, host: str, port: int, ssl_context: ssl.SSLContext, holders: Holders) -> None:
    """Run until cancelled. Raises OSError when the port is taken."""
    hall = Hall(engine, key, server_context(ssl_context), holders)
    server = await asyncio.start_server(hall.enter, host, port, limit=PIECE)
    try:
        await (
            asyncio.get_running_loop().create_future()
        )  # serve_forever would wait for the last client when it is cancelled
    finally:
        server.close()
        hall.clear()


class Doorman:
    """Counts bad references by address; from the fifth in a minute on, the refusal takes some seconds."""

    WINDOW, FREE, SECONDS, MOST = 60.0, 4, 5.0, 1_000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._bad: OrderedDict[str, list[float]] = OrderedDict()

    def delay_after_bad(self, address: str) -> float:
        """Seconds to wait before this bad reference is refused."""
        now = self._clock()
        recent = [moment for moment in self._bad.pop(address, []) if moment > now - self.WINDOW]
        self._bad[address] = [*recent, now][-self.FREE - 1 :]
        while len(self._bad) > self.MOST:
            self._bad.popitem(last=False)
        return self.SECONDS if len(recent) >= self.FREE else 0.0


class Hall:
    """Where clients come in."""

    def __init__(self, engine: Engine, key: str, context: ssl.SSLContext, holders: Holders) -> None:
        self.engine, self.key, self.context, self.holders = engine, key, context, holders
        self.doorman = Doorman()
        self.strangers = Crowd(EACH, STRANGERS)
        self.meetings, self.shares = 0, Shares(MEETINGS_EACH, "attached dynos")
        self._inside: set[asyncio.Task] = set()

    def clear(self) -> None:
        """Cut everybody off; their dynos go on, and they may come back to the next server."""
        for task in self._inside:
            task.cancel()

    async def enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first byte to its end."""
        connection = TlsConnection(reader, writer, self.context)
        task = asyncio.current_task()
        assert task is not None
        self._inside.add(task)
        try:
            if self.meetings < MEETINGS:
                await self._receive(connection)
        except (ConnectionError, TimeoutError, OSError, GreenroomError) as error:  # ssl.SSLError is an OSError
            log.info("rendezvous with %s ended: %s", connection.address, error)
        finally:
            self._inside.discard(task)
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
        """NotFoundError when the reference is bad or its dyno waits for nobody; nothing has been said to the client
        then.
        """
        payload = await self._check(hello.token, connection.address)
        holder = await self.holders.admit(payload)
        self.strangers.left(connection)
        self.meetings += 1
        try:
            task = asyncio.current_task()
            assert task is not None
            with self.shares.one(holder.account), self.holders.watch(holder, task.cancel):
                await Meeting(self.engine, connection, payload, hello).hold()
        except BusyError as error:
            await _refuse(connection, payload, hello, error)
            raise
        finally:
            self.meetings -= 1

    async def _first_line(self, connection: TlsConnection) -> bytes:
        data = b""
        while b"\n" not in data and len(data) < LONGEST:
            try:
                async with asyncio.timeout(NO_LINE_END if rules.is_whole(data) else HELLO_SECONDS):
                    piece = await connection.read()
            except TimeoutError:
                return data
            if not piece:
                raise ConnectionResetError("the client left without a word")
            data += piece
        return data

    async def _check(self, token: str, address: str) -> dict:
        try:
            return signing.unsign(token, key=self.key, purpose="attach")
        except GreenroomError:
            await asyncio.sleep(self.doorman.delay_after_bad(address))
            raise


async def _refuse(connection: TlsConnection, payload: dict, hello: rules.Hello, error: GreenroomError) -> None:
    """Tell the user why, as if the dyno had printed it. A client that comes back is told nothing: it tries again."""
    if hello.seen < 0:
        marker = rules.marker_line(1) if payload.get("marker") else b""
        await connection.write(rules.HELLO)
        await connection.write("".join(f" !    {line}\r\n" for line in str(error).splitlines()).encode())
        await connection.write(marker)
        await connection.finish()
