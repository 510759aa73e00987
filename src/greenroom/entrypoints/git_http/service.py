"""Streams one request to a git process and the response back, in both directions at once, in constant memory.

The process is always ended and reaped, even if the client or git fails. The rows record the effect of a push.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
import zlib
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from greenroom.basics.text import printable
from greenroom.entrypoints.git_http.pkt_lines import GarbageError, Prologue, TooManyRefsError, message
from greenroom.git.drivers import runner

log = logging.getLogger(__name__)

CHUNK = 65_536
IDLE = 120.0
"""Timeout, in seconds, without any byte sent or read by the client."""
MOST = {"receive-pack": 2_000_000_000, "upload-pack": 64_000_000}
"""Maximum decompressed request body, in bytes. Pushes have a lower limit (rules.MAX_INPUT), which git reports."""
AFTERWARDS = 10.0
"""Seconds that git may still run if the client disconnects after sending everything."""
TERM = 2.0
PROTOCOL = re.compile(
    r"protocol error|bad line length|invalid|expected |unexpected|unknown |not our ref|could not parse|hung up|bad"
    r" pack|malformed",
    re.IGNORECASE,
)
"""git's error messages for an invalid request."""

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class RequestError(Exception):
    """A refused request, with the HTTP status and a message."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class GoneError(Exception):
    """The client disconnected."""


class Exchange:
    """One request, one git process, one response."""

    def __init__(
        self,
        receive: Receive,
        send: Send,
        *,
        reply: list[tuple[bytes, bytes]],
        prefix: bytes = b"",
        prologue: Prologue | None = None,
    ) -> None:
        self.receive = receive
        self.send = send
        self.reply = reply
        self.prefix = prefix
        self.prologue = prologue
        self.refusal = b""
        self.started = False
        self.gone = False
        self.fed = asyncio.Event()

    async def run(
        self, argv: list[str], *, env: dict[str, str], lock: int | None = None, body: str | None = None
    ) -> None:
        """Run git and return when it has ended.

        lock: a file descriptor that git inherits; closed here. body: the encoding of the request body, None without
        one. Raises RequestError until the response has started.
        """
        try:
            child = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=env,
                cwd="/",
                pass_fds=() if lock is None else (lock,),
                start_new_session=True,
                limit=CHUNK,
            )
        finally:
            if lock is not None:
                os.close(lock)
        runner.limit(child.pid)
        relay = asyncio.create_task(self._relay(child))
        feed = asyncio.create_task(self._feed(child, body, MOST[argv[1]]))
        complaint = asyncio.create_task(self._complaint(child))
        try:
            await asyncio.wait({relay, feed}, return_when=asyncio.FIRST_COMPLETED)
            if not relay.done():
                await self._after_the_client(feed, relay)
            if relay.done():
                relay.result()
                await self._finish(child, argv[1], complaint, feed)
        finally:
            for task in (relay, feed, complaint):
                task.cancel()
            await end(child)
            await asyncio.gather(relay, feed, complaint, return_exceptions=True)

    async def _after_the_client(self, feed: asyncio.Task[None], relay: asyncio.Task[None]) -> None:
        """After a disconnect or invalid data: let git finish a push that arrived completely, otherwise end git."""
        error = feed.exception()
        if not isinstance(error, GoneError):
            raise error or RuntimeError("the input task ended unexpectedly")
        self.gone = True
        if self.fed.is_set():
            await asyncio.wait({relay}, timeout=AFTERWARDS)

    async def _finish(
        self, child: asyncio.subprocess.Process, name: str, complaint: asyncio.Task[str], feed: asyncio.Task[None]
    ) -> None:
        code = await child.wait()
        text = await complaint
        if self.refusal:
            return await self._refuse_push(feed)
        if code:
            log.info("git %s ended with %s: %s", name, code, text)
        if code and not self.started and not self.gone:
            raise RequestError(
                400 if PROTOCOL.search(text) else 500, f"git {name} failed: {text or 'no error message'}"
            )
        await self._body_is_read(feed)
        broken = code < 0 or (code > 0 and name == "receive-pack")
        # the response is truncated, so the connection must close: git's client would wait for the rest forever
        if broken:
            return
        if not (self.gone or feed.done()):
            await self._start()
            await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _refuse_push(self, feed: asyncio.Task[None]) -> None:
        await self._body_is_read(feed)
        await self._start()
        await self.send({"type": "http.response.body", "body": self.refusal, "more_body": False})

    async def _body_is_read(self, feed: asyncio.Task[None]) -> None:
        """Read the rest of the body. A client that is still sending reads the response only after its last byte."""
        read = asyncio.create_task(self.fed.wait())
        await asyncio.wait({read, feed}, timeout=IDLE, return_when=asyncio.FIRST_COMPLETED)
        read.cancel()

    # -- from the client to git
    # -----------------------------------------------------------------------------------------

    async def _feed(self, child: asyncio.subprocess.Process, body: str | None, most: int) -> None:
        """Pass the body on, then wait for the disconnect. Raises GoneError, RequestError."""
        assert child.stdin
        pipe: asyncio.StreamWriter | None = child.stdin
        if body is not None:
            total = 0
            async for piece in self._body(body):
                total += len(piece)
                if total > most:
                    raise RequestError(413, f"The request is larger than {most / 1e6:,.0f} MB.")
                pipe = await self._pass_on(None if self._looks_bad(piece, child) else pipe, piece)
            self._looks_bad(b"", child, last=True)
        child.stdin.close()
        self.fed.set()
        while (await self.receive())["type"] != "http.disconnect":
            pass
        raise GoneError

    def _looks_bad(self, piece: bytes, child: asyncio.subprocess.Process, *, last: bool = False) -> bool:
        """Whether the rest is discarded, because git has been ended. Raises RequestError for invalid data."""
        if self.prologue is None or self.refusal:
            return bool(self.refusal)
        try:
            self.prologue.feed(piece)
            if last:
                self.prologue.end()
        except GarbageError:
            raise RequestError(400, "The request body is not valid git protocol.") from None
        except TooManyRefsError as error:
            text = f"This push updates more than {self.prologue.refs} refs, the limit per push. Nothing was changed."
            if not error.sideband:
                raise RequestError(422, text) from None
            self.refusal = message(
                f" !     {text}",
                "       hint: push fewer refs at once, or only the protected branch: git push greenroom HEAD:master",
            )
            with contextlib.suppress(ProcessLookupError):
                child.kill()
        return bool(self.refusal)

    async def _body(self, encoding: str) -> Any:
        unzip = Gunzip() if encoding == "gzip" else None
        more = True
        while more:
            message = await self._within(self.receive())
            if message["type"] == "http.disconnect":
                raise GoneError
            more = message.get("more_body", False)
            data = message.get("body", b"")
            for piece in unzip.pieces(data) if unzip else [data]:
                yield piece
        if unzip and not unzip.ended:
            raise RequestError(400, "The request's gzip body is truncated.")

    async def _pass_on(self, pipe: asyncio.StreamWriter | None, piece: bytes) -> asyncio.StreamWriter | None:
        """Write to git. If git ends early (push too large), discard the rest, so that the client reads the response."""
        if pipe is None or not piece:
            return pipe
        try:
            pipe.write(piece)
            await self._within(pipe.drain())
        except (BrokenPipeError, ConnectionResetError):
            return None
        return pipe

    # -- from git to the client
    # -----------------------------------------------------------------------------------------

    async def _relay(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdout
        while data := await child.stdout.read(CHUNK):
            if self.gone:
                continue
            await self._start()
            await self._within(self.send({"type": "http.response.body", "body": data, "more_body": True}))

    async def _start(self) -> None:
        if self.started:
            return
        self.started = True
        await self.send({"type": "http.response.start", "status": 200, "headers": self.reply})
        if self.prefix:
            await self.send({"type": "http.response.body", "body": self.prefix, "more_body": True})

    async def _complaint(self, child: asyncio.subprocess.Process) -> str:
        """The first lines of git's stderr; the rest is discarded."""
        assert child.stderr
        kept = b""
        while data := await child.stderr.read(4096):
            kept = (kept + data)[:1000]
        return printable(" / ".join(kept.decode("utf-8", "replace").split("\n")).strip(" /"), 300, one_line=True)

    async def _within(self, what: Awaitable[Any]) -> Any:
        try:
            return await asyncio.wait_for(what, IDLE)
        except TimeoutError:
            raise RequestError(408, f"No data was transferred for {IDLE:.0f} s.") from None


class Gunzip:
    """Decompresses a gzip stream in pieces of at most 64 KiB, whatever the compression ratio."""

    def __init__(self) -> None:
        self.engine = zlib.decompressobj(16 + zlib.MAX_WBITS)

    @property
    def ended(self) -> bool:
        """Whether the end of the stream was reached."""
        return self.engine.eof

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """The decompressed pieces of ``data``. Raises RequestError for invalid gzip or trailing data."""
        while data:
            try:
                piece = self.engine.decompress(data, CHUNK)
            except zlib.error:
                raise RequestError(400, "The request body is not valid gzip.") from None
            if self.engine.unused_data:
                raise RequestError(400, "There is trailing data after the gzip body.")
            data = self.engine.unconsumed_tail
            if piece:
                yield piece


async def end(child: asyncio.subprocess.Process) -> None:
    """End a process and its children, first with SIGTERM, and reap it."""
    for number, patience in ((signal.SIGTERM, TERM), (signal.SIGKILL, None)):
        if child.returncode is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(child.wait(), patience)
    transport = getattr(child, "_transport", None)
    if transport is not None:
        transport.close()
