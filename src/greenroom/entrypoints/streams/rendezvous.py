"""The rendezvous server: ties an attached one-off dyno to its client, over TLS, in the Heroku CLI's protocol.

The client writes a signed reference and a line end; the answer ``rendezvous`` goes out in a TLS record of its own, then bytes both ways.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
import time
from pathlib import Path
from typing import Any

from greenroom.basics import signing, unixsock
from greenroom.basics.errors import GreenroomError
from greenroom.entrypoints.streams.rules import EOF, marker_line

log = logging.getLogger(__name__)
HELLO_SECONDS = 10.0
LINGER = 0.6
LONGEST = 2000
PIECE = 65536
QUIET = 0.3
STATE_SECONDS = 10.0


async def serve(home: Path, key: str, host: str, port: int, context: ssl.SSLContext) -> None:
    """Run until cancelled."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await Meeting(home, key, reader, writer).hold()
        except (ConnectionError, TimeoutError, GreenroomError, asyncio.IncompleteReadError, OSError) as error:
            log.info("rendezvous ended: %s", error)
        finally:
            writer.close()
            with contextlib.suppress(Exception):
                await writer.wait_closed()

    server = await asyncio.start_server(handle, host, port, ssl=context, limit=PIECE)
    async with server:
        await server.serve_forever()


class Meeting:
    """One client and the dyno that its reference names."""

    def __init__(self, home: Path, key: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.home = home
        self.key = key
        self.reader = reader
        self.writer = writer
        self.began = 0.0
        self.said_eof = asyncio.Event()

    async def hold(self) -> None:
        """The whole conversation."""
        line = await asyncio.wait_for(self.reader.readline(), HELLO_SECONDS)
        token = line[:LONGEST].decode("latin-1").strip()
        try:
            payload = signing.unsign(token, key=self.key, purpose="attach")
        except GreenroomError:
            await asyncio.sleep(1.0)
            raise
        dyno = str(payload["dyno"])
        self.writer.write(b"rendezvous\r\n")
        await self.writer.drain()
        self.began = time.monotonic()
        inside, outside = await self._attach(dyno)
        feeding = asyncio.create_task(self._feed(outside, tty=bool(payload.get("tty"))))
        try:
            await self._show(inside)
            if payload.get("marker"):
                self.writer.write(marker_line(await self._exit_code(dyno)))
            await self.writer.drain()
            await self._linger()
        finally:
            feeding.cancel()
            outside.close()

    async def _attach(self, dyno: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The dyno's socket; it may need a moment to be there."""
        path = self.home / "run" / "dynos" / dyno / "attach.sock"
        deadline = time.monotonic() + STATE_SECONDS
        while True:
            try:
                sock = await asyncio.to_thread(unixsock.connect, path, timeout=5.0)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.02)
        sock.setblocking(False)
        return await asyncio.open_unix_connection(sock=sock, limit=PIECE)

    async def _show(self, inside: asyncio.StreamReader) -> None:
        while data := await inside.read(PIECE):
            self.writer.write(data)
            await self.writer.drain()

    async def _feed(self, outside: asyncio.StreamWriter, *, tty: bool) -> None:
        """The client's bytes to the dyno. Without a terminal a last 0x04, followed by silence or the end, is the end of input."""
        held = b""
        with contextlib.suppress(ConnectionError):
            while True:
                try:
                    data = await asyncio.wait_for(self.reader.read(PIECE), QUIET if held else None)
                except TimeoutError:
                    self._end_input(outside)
                    return
                if not data and tty:
                    outside.close()
                    return
                if not data:
                    self._end_input(outside)
                    return
                data, held = held + data, b""
                if not tty and data.endswith(EOF):
                    data, held = data[:-1], EOF
                outside.write(data)
                await outside.drain()

    def _end_input(self, outside: asyncio.StreamWriter) -> None:
        self.said_eof.set()
        with contextlib.suppress(OSError):
            outside.write_eof()

    async def _linger(self) -> None:
        """The Heroku CLI writes its end of input right after the first line; a socket that is closed before crashes it."""
        rest = LINGER - (time.monotonic() - self.began)
        if rest > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.said_eof.wait(), rest)

    async def _exit_code(self, dyno: str) -> int:
        path = self.home / "run" / "dynos" / dyno / "state.json"
        deadline = time.monotonic() + STATE_SECONDS
        while time.monotonic() < deadline:
            state = await asyncio.to_thread(_read, path)
            if state.get("phase") in ("exited", "lost"):
                code = state.get("exit_code")
                return 255 if code is None else int(code)
            await asyncio.sleep(0.02)
        return 255


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
