"""A plain ASGI application for streams: app logs and delivery transcripts, as text lines or server-sent events, and
snapshot files.

No query and no thread for each client: the signed URL is the credential, the files are local, and all clients of one
log share its feed. The permissions of all open links are checked together.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from greenroom.apps.rules import Holder
from greenroom.basics import logfile, signing
from greenroom.basics.errors import GreenroomError, NotFoundError
from greenroom.entrypoints.streams import growing_file
from greenroom.entrypoints.streams.feeds import Feed, Feeds, Position, show
from greenroom.entrypoints.streams.link_holders import BusyError, Holders, Shares
from greenroom.logs import rules
from greenroom.logs.drivers import positions

log = logging.getLogger(__name__)

POLL = 0.1
KEEP_ALIVE = 15.0
MOST, EACH = 2_000, 100
"""Maximum number of concurrent streams of one process, and of one account."""
RETRY = (b"retry-after", b"10")
NEVER_BEGAN = 900.0
"""Seconds after which an output that has not started is given up."""
HEX = re.compile(r"[0-9a-f]{32}\Z")
PLAIN = "text/plain; charset=utf-8"
SNAPSHOT = re.compile(r"snapshots/[0-9a-f]{32}/[0-9a-f]{32}\.dump\Z")
BLOCK = 1 << 18
GRACE = 1.0
"""Seconds in which a revoked stream may end by itself."""


def make_app(home: Path, key: str, holders: Holders) -> Callable[..., Awaitable[None]]:
    """The ASGI application of one home: ``/streams/logs/TOKEN``, ``/streams/output/TOKEN`` and
    ``/streams/snapshots/TOKEN``.
    """
    feeds, shares = Feeds(), Shares(EACH, "streams")
    open_streams: set[Stream] = set()

    async def application(scope: dict, receive: Any, send: Any) -> None:
        stream = Stream(home, key, feeds, holders, shares, scope, receive, send)
        if len(open_streams) >= MOST:
            await stream.refuse(503, f"{MOST} streams are open already.", RETRY)
            return
        open_streams.add(stream)
        try:
            await stream.answer()
        except GreenroomError as error:
            await stream.refuse(error.status, str(error), *((RETRY,) if isinstance(error, BusyError) else ()))
        except asyncio.CancelledError:
            if not stream.revoked:
                raise
        finally:
            open_streams.discard(stream)

    return application


class Stream:
    """The stream of one client."""

    def __init__(
        self, home: Path, key: str, feeds: Feeds, holders: Holders, shares: Shares, scope: dict, receive: Any, send: Any
    ) -> None:
        self.home, self.key, self.feeds, self.holders, self.shares = home, key, feeds, holders, shares
        self.scope, self.receive, self.send = scope, receive, send
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        self.events = "text/event-stream" in headers.get(b"accept", "")
        self.last_id = headers.get(b"last-event-id", "")
        self.gone = self.revoked = False
        self.stirred = asyncio.Event()

    async def answer(self) -> None:
        """Send the whole stream. NotFoundError before the first byte for an invalid or expired link."""
        parts = self.scope["path"].split("/")
        kinds = {"logs": self._log, "output": self._output, "snapshots": self._snapshot}
        if len(parts) != 4 or parts[2] not in kinds:
            raise NotFoundError("There is no such stream.")
        if self.scope["method"] not in ("GET", "HEAD"):
            await self.refuse(405, "A stream can only be read.", (b"allow", b"GET, HEAD"))
            return
        payload = signing.unsign(parts[3], key=self.key, purpose=parts[2])
        holder = await self.holders.admit(payload)
        with self.shares.one(holder.account):
            await self._serve(holder, lambda: kinds[parts[2]](payload))

    async def _serve(self, holder: Holder, stream: Callable[[], Awaitable[None]]) -> None:
        watching = asyncio.create_task(self._watch())
        try:
            with self.holders.watch(holder, self._revoke(asyncio.current_task())):
                await stream()
        finally:
            watching.cancel()

    def _revoke(self, task: asyncio.Task | None) -> Callable[[], None]:
        """A function that ends the stream: at once if it waits for data, by force if a slow client blocks it."""

        def close() -> None:
            self.gone = self.revoked = True
            self.stirred.set()
            if task:
                asyncio.get_running_loop().call_later(GRACE, task.cancel)

        return close

    async def refuse(self, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
        """Send an error response instead of a stream."""
        await self._head(status, PLAIN, *headers)
        await self.send({"type": "http.response.body", "body": f"{text}\n".encode()})

    async def _watch(self) -> None:
        """Detect the client's disconnect at once."""
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        self.stirred.set()

    async def _head(self, status: int, kind: str, *more: tuple[bytes, bytes]) -> None:
        """Start the response."""
        headers = [
            (b"content-type", kind.encode()),
            (b"cache-control", b"no-cache, no-store"),
            (b"x-accel-buffering", b"no"),
            (b"x-content-type-options", b"nosniff"),
            *more,
        ]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def _begin(self, kind: str) -> bool:
        """Start a stream; False for a HEAD request."""
        await self._head(200, kind)
        if self.scope["method"] == "HEAD":
            await self._end()
            return False
        return True

    async def _write(self, data: bytes) -> None:
        """Write data, waiting for a slow client; nothing is buffered for it."""
        if data:
            await self.send({"type": "http.response.body", "body": data, "more_body": True})

    async def _end(self) -> None:
        await self.send({"type": "http.response.body", "body": b""})

    async def _until_stirred(self, seconds: float) -> bool:
        """True as soon as there is something to do, False after ``seconds`` without an event."""
        try:
            async with asyncio.timeout(seconds):
                await self.stirred.wait()
        except TimeoutError:
            return False
        if not self.gone:
            self.stirred.clear()
        return True

    # -- logs ---------------------------------------------------------------------------------------------------------

    async def _log(self, payload: dict[str, Any]) -> None:
        folder = str(self.home / "logs" / "apps" / str(payload.get("app")))
        if not HEX.match(str(payload.get("app"))) or not os.path.isdir(folder):
            raise NotFoundError("There is no such log.", hint="greenroom apps")
        session = rules.session(payload)
        start, stop = await self._place(folder, session)
        if not await self._begin("text/event-stream; charset=utf-8" if self.events else PLAIN):
            return
        if self.events:
            await self._write(b"retry: 1\n\n")
        if session.tail:
            with self.feeds.follow(folder, self.stirred) as feed:
                await self._tail(feed, start, session.wanted)
        else:
            pieces = positions.between(folder, start, stop)
            while not self.gone and (lines := await asyncio.to_thread(next, pieces, None)) is not None:
                await self._write(show(lines, session.wanted, events=self.events))
        await self._end()

    async def _place(self, folder: str, session: rules.Session) -> tuple[Position, Position]:
        """(start, end) of a stream: after the last seen line of a reconnecting client, else at the last lines.

        The end only applies without a tail.
        """
        resumed = positions.resume(folder, self.last_id)
        if resumed:
            return resumed, logfile.end(folder)
        return await asyncio.to_thread(positions.start_of_last, folder, session.lines, session.wanted.keeps)

    async def _tail(self, feed: Feed, position: Position, wanted: rules.Wanted) -> None:
        """Stream everything after a position, until the client or the log is gone."""
        while not self.gone:
            found = feed.read(position, wanted, events=self.events)
            if found is None:
                lines, place = await asyncio.to_thread(positions.read_on, feed.folder, position)
                await self._write(show(lines, wanted, events=self.events))
                if place == position:
                    await self._until_stirred(POLL)
                position = place
                continue
            data, place = found
            if place != position:
                position = place
                await self._write(data)
            elif feed.closed:
                return
            elif not await self._until_stirred(KEEP_ALIVE) and self.events:
                await self._write(b": still here\n\n")

    # -- output -------------------------------------------------------------------------------------------------------

    async def _output(self, payload: dict[str, Any]) -> None:
        """Stream a growing file until it is complete."""
        file = growing_file.named(self.home, str(payload.get("file")))
        if not await self._begin(PLAIN):
            return
        waited = 0.0
        while not self.gone:
            ended = file.ended()
            data = file.more()
            if data:
                await self._write(data)
            elif ended or (not file.place and waited > NEVER_BEGAN):
                break
            elif not await self._until_stirred(POLL):
                waited += POLL
        await self._end()

    # -- snapshots ----------------------------------------------------------------------------------------------------

    async def _snapshot(self, payload: dict[str, Any]) -> None:
        """Send the file of a snapshot as a download."""
        name = str(payload.get("file"))
        path = self.home / name
        if not SNAPSHOT.match(name) or not path.is_file():
            raise NotFoundError("The snapshot no longer exists.", hint="heroku pg:backups")
        with await asyncio.to_thread(path.open, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            title = re.sub(r"[^\w.-]", "_", str(payload.get("name") or "snapshot.dump"))
            headers = (
                (b"content-length", b"%d" % size),
                (b"content-disposition", f'attachment; filename="{title}"'.encode()),
            )
            await self._head(200, "application/octet-stream", *headers)
            while (
                self.scope["method"] == "GET" and not self.gone and (block := await asyncio.to_thread(file.read, BLOCK))
            ):
                await self._write(block)
        await self._end()
