"""An attached dyno and its client: bytes both ways, end of input, the exit code's marker, and the ways a session ends.

If the dyno ends first, its output is sent completely, the connection is closed, and the engine is notified that the
client has received it. If the client leaves first, the engine is notified and hangs up on the dyno. If the
connection breaks or this process dies, the dyno continues and the client can reconnect.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
from typing import Any, Protocol

from greenroom.basics.errors import ConflictError, NotFoundError
from greenroom.engine.contract import Attachment, Engine
from greenroom.engine.errors import NotReadyError, NotWaitingError, OutputGoneError
from greenroom.entrypoints.streams.rules import HELLO, Escaped, Hello, Piped, Terminal, marker_line
from greenroom.entrypoints.streams.tls import RECORD, TlsConnection

LINGER = 0.6
"""The Heroku CLI writes its end of input right after our first line, and crashes if the connection is already
closed.
"""
PATIENCE = 10.0
PLANNED_POLL = 0.1, 1.0
"""Seconds between two checks of a dyno that waits for its start: at first, and at most."""
QUIET = 0.3
LOOK = 1.0
UNKNOWN_CODE = 255
DYNO = re.compile(r"[a-z0-9][a-z0-9.-]{0,79}\Z")


class OutputLostError(NotFoundError):
    """Output that the client has not seen was discarded; the dyno is hung up on."""


class NotStartedError(ConflictError):
    """The dyno has ended, or will end, without having started."""


class Starts(Protocol):
    """The planned starts of one-off dynos, by engine id; the caller supplies them."""

    async def planned(self, dyno: str) -> bool:
        """Whether the dyno is still to be started. NotStartedError, with the reason, if it never will."""

    async def cancel(self, dyno: str) -> None:
        """Its client has left: do not start it."""


class NoStarts:
    """For a process without the control plane's rows: every dyno has been started."""

    async def planned(self, dyno: str) -> bool:
        return False

    async def cancel(self, dyno: str) -> None:
        return None


class Meeting:
    """One session. payload of the signed reference: ``{"dyno": engine id, "tty": bool, "marker": bool}``."""

    def __init__(
        self, engine: Engine, starts: Starts, connection: TlsConnection, payload: dict[str, Any], hello: Hello
    ) -> None:
        if not DYNO.match(str(payload.get("dyno"))):
            raise NotFoundError("The reference contains no dyno.")
        self.engine, self.starts, self.dyno = engine, starts, str(payload["dyno"])
        self.connection = connection
        self.wants_marker = bool(payload.get("marker"))
        self.hello = hello
        self.input: Terminal = Terminal() if payload.get("tty") else Escaped() if hello.own else Piped()
        self.began = 0.0
        self._greeting = HELLO

    async def hold(self) -> None:
        """Run the whole session. NotFoundError if no dyno waits for the client, ConnectionError if the client
        disconnects.
        """
        with await self._attach() as dyno:
            await self.connection.write(self._greeting)
            self.began = time.monotonic()
            feeding = asyncio.create_task(self._feed(dyno))
            showing = asyncio.create_task(self._show(dyno))
            try:
                await asyncio.wait({feeding, showing}, return_when=asyncio.FIRST_COMPLETED)
                whole = showing.done()
                if not whole and feeding.exception() is None:
                    await self.hang_up()
                if whole:
                    showing.result()
                    await self._part(feeding)
            finally:
                await _end(feeding, showing)
        if whole and await self.connection.finish():
            await asyncio.to_thread(self.engine.detach, self.dyno, complete=True)

    async def hang_up(self) -> None:
        """Tell the engine that the client does not come back: it hangs up on the dyno."""
        await asyncio.to_thread(self.engine.detach, self.dyno, complete=False)

    async def _attach(self) -> socket.socket:
        """The dyno's socket; retries until it exists. Only one client gets it.

        A plain socket, not an asyncio stream: those stop reading when a write fails, but a command that exits without
        reading all of its input may still have printed output.
        """
        if self.hello.seen >= 0:
            found = await self._come_back()
        else:
            found = await self._first()
        found.sock.setblocking(False)
        return found.sock

    async def _first(self) -> Attachment:
        await self._until_started()
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return await asyncio.to_thread(self.engine.attach, self.dyno)
            except (NotReadyError, NotWaitingError) as error:
                if isinstance(error, NotWaitingError) or time.monotonic() > deadline:
                    hint = "each link is valid for one client"
                    raise NotFoundError("The dyno does not wait for a client.", hint=hint) from error
                await asyncio.sleep(0.02)

    async def _until_started(self) -> None:
        """Wait as long as the worker is still to start the dyno, e.g. after a snapshot. A client that leaves meanwhile
        cancels the start.
        """
        pause, most = PLANNED_POLL
        while await self.starts.planned(self.dyno):
            if not self.connection.is_open_there():
                await self.starts.cancel(self.dyno)
                raise ConnectionResetError("the client left before the dyno started")
            await asyncio.sleep(pause)
            pause = min(most, pause * 1.2)

    async def _come_back(self) -> Attachment:
        """Reattach a lost client: send the received byte count of its input, continue after the output that it has
        seen.
        """
        try:
            found = await asyncio.to_thread(self.engine.attach, self.dyno, seen=self.hello.seen)
        except NotWaitingError as error:
            raise NotFoundError("The dyno does not wait for a client.", hint="it has ended") from error
        except OutputGoneError as error:
            raise OutputLostError("Output that the client has not received is no longer available.") from error
        self._greeting = HELLO.rstrip() + f" {found.received}\r\n".encode()
        return found

    async def _show(self, dyno: socket.socket) -> None:
        """Forward the dyno's output to the client until the dyno ends."""
        while data := await _read(dyno):
            await self.connection.write(data)

    async def _feed(self, dyno: socket.socket) -> None:
        """Forward the client's input to the dyno until the client leaves; discard it once the dyno accepts no more."""
        record = self.hello.rest
        while True:
            if record and not self.input.ended:
                await self._pass(dyno, self.input.take(record))
            try:
                async with asyncio.timeout(QUIET if self.input.waiting else None):
                    record = await self.connection.read()
            except TimeoutError:
                self.input.silence()
                _say_end(dyno)
                record = b""
                continue
            if not record:
                return

    async def _pass(self, dyno: socket.socket, data: bytes) -> None:
        """Send to the dyno, waiting for a slow one, unless the client leaves meanwhile."""
        sending = asyncio.create_task(_send(dyno, data))
        try:
            while not (await asyncio.wait({sending}, timeout=LOOK))[0]:
                if not self.connection.is_open_there():
                    raise ConnectionResetError("the client left while the dyno was not reading")
        finally:
            sending.cancel()
        if self.input.ended:
            _say_end(dyno)

    async def _part(self, feeding: asyncio.Task[None]) -> None:
        """After the dyno's end: send its exit code, and leave the Heroku CLI its linger time."""
        if self.wants_marker:
            await self.connection.write(marker_line(await self._exit_code()))
        while not self.hello.own and not self.input.said_end and not feeding.done():
            rest = self.began + LINGER - time.monotonic()
            if rest <= 0:
                return
            await asyncio.sleep(min(rest, 0.02))

    async def _exit_code(self) -> int:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            state = await asyncio.to_thread(self.engine.describe, self.dyno)
            if state is None or state.ended:
                code = state.exit_code if state else None
                return UNKNOWN_CODE if code is None else code
            await asyncio.sleep(0.02)
        return UNKNOWN_CODE


async def _read(dyno: socket.socket) -> bytes:
    try:
        return await asyncio.get_running_loop().sock_recv(dyno, RECORD)
    except ConnectionResetError:  # the last output of a dyno that never read its input
        return b""


async def _send(dyno: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        await asyncio.get_running_loop().sock_sendall(dyno, data)


def _say_end(dyno: socket.socket) -> None:
    with contextlib.suppress(OSError):
        dyno.shutdown(socket.SHUT_WR)


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
