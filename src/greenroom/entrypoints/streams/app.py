"""Streams as a plain ASGI function: an app's log and a delivery's transcript, as lines of text or as server-sent events.

No database and no thread: the signed URL is the credential, the files are local, and one coroutine per client polls them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from greenroom.basics import logfile, signing
from greenroom.basics.errors import NotFoundError
from greenroom.logs.rules import Wanted

POLL = 0.1
KEEP_ALIVE = 15.0
PIECE = 262_144
HEX = re.compile(r"[0-9a-f]{32}\Z")
FILE = re.compile(r"(logs/deliveries/[0-9a-f]{32}\.log|run/dynos/[a-z0-9.-]{1,80}/output)\Z")


def make_app(home: Path, key: str) -> Callable[..., Awaitable[None]]:
    """The ASGI application of one home."""

    async def application(scope: dict, receive: Any, send: Any) -> None:
        stream = Stream(home, key, scope, receive, send)
        try:
            await stream.answer()
        except NotFoundError as error:
            await stream.head(404, "text/plain; charset=utf-8")
            await send({"type": "http.response.body", "body": f"{error}\n".encode()})

    return application


class Stream:
    """One client."""

    def __init__(self, home: Path, key: str, scope: dict, receive: Any, send: Any) -> None:
        self.home = home
        self.key = key
        self.scope = scope
        self.receive = receive
        self.send = send
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        self.events = "text/event-stream" in headers.get("accept", "")
        self.last_id = headers.get("last-event-id", "")
        self.gone = asyncio.Event()

    async def answer(self) -> None:
        """``/streams/logs/TOKEN`` or ``/streams/output/TOKEN``."""
        parts = self.scope["path"].split("/")
        if len(parts) != 4 or parts[2] not in ("logs", "output") or self.scope["method"] not in ("GET", "HEAD"):
            raise NotFoundError("There is no such stream.")
        payload = signing.unsign(parts[3], key=self.key, purpose=parts[2])
        watching = asyncio.create_task(self._watch())
        try:
            await (self._logs(payload) if parts[2] == "logs" else self._output(payload))
        finally:
            watching.cancel()

    async def _watch(self) -> None:
        """Notice at once that the client has gone."""
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                self.gone.set()
                return

    async def head(self, status: int, kind: str) -> None:
        """Start the answer."""
        headers = [(b"content-type", kind.encode()), (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def _write(self, data: bytes) -> None:
        await self.send({"type": "http.response.body", "body": data, "more_body": True})

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.gone.wait(), seconds)
        except TimeoutError:
            return

    async def _logs(self, payload: dict[str, Any]) -> None:
        if not HEX.match(str(payload.get("app"))):
            raise NotFoundError("There is no such log.")
        folder = str(self.home / "logs" / "apps" / payload["app"])
        wanted = Wanted(source=payload.get("source") or "", dyno=payload.get("dyno") or "")

        def keep(line: logfile.Line) -> bool:
            return wanted.accepts(line.source, line.process)

        await self.head(200, "text/event-stream; charset=utf-8" if self.events else "text/plain; charset=utf-8")
        if self.events:
            await self._write(b"retry: 1\n\n")
        position = self._resume() or logfile.START
        if position == logfile.START:
            lines, position = await asyncio.to_thread(logfile.read_last, folder, int(payload.get("lines") or 0), keep)
            await self._lines(lines)
        while payload.get("tail") and not self.gone.is_set():
            position = await self._tail(folder, position, keep)
        await self.send({"type": "http.response.body", "body": b""})

    def _resume(self) -> tuple[int, int] | None:
        """The position that a reconnecting client names by Last-Event-ID."""
        number, _, offset = self.last_id.partition("-")
        return (int(number), int(offset)) if number.isdigit() and offset.isdigit() else None

    async def _tail(
        self, folder: str, position: tuple[int, int], keep: Callable[[logfile.Line], bool]
    ) -> tuple[int, int]:
        """New lines until there are none for a while, then a sign of life."""
        quiet = 0.0
        while quiet < KEEP_ALIVE and not self.gone.is_set():
            lines, position = logfile.read_from(folder, position, PIECE)
            found = [line for line in lines if keep(line)]
            if found:
                await self._lines(found)
                quiet = 0.0
            if not lines:
                await self._pause(POLL)
                quiet += POLL
        if self.events and not self.gone.is_set():
            await self._write(b": still here\n\n")
        return position

    async def _lines(self, lines: list[logfile.Line]) -> None:
        if not lines:
            return
        if self.events:
            text = "".join(f"id: {line.after[0]}-{line.after[1]}\ndata: {line}\n\n" for line in lines)
        else:
            text = "".join(f"{line}\n" for line in lines)
        await self._write(text.encode("utf-8", "replace"))

    async def _output(self, payload: dict[str, Any]) -> None:
        """A growing file until its ``.done`` is there."""
        name = str(payload.get("file"))
        if not FILE.match(name):
            raise NotFoundError("There is no such output.")
        path, done = self.home / name, self.home / f"{name}.done"
        await self.head(200, "text/plain; charset=utf-8")
        place = 0
        while not self.gone.is_set():
            ended = done.exists()
            data = await asyncio.to_thread(_piece, path, place)
            place += len(data)
            if data:
                await self._write(data)
            elif ended:
                break
            else:
                await self._pause(POLL)
        await self.send({"type": "http.response.body", "body": b""})


def _piece(path: Path, place: int) -> bytes:
    try:
        with path.open("rb") as stream:
            stream.seek(place)
            return stream.read(PIECE)
    except FileNotFoundError:
        return b""
