"""Receives archives that clients upload to a signed link, and serves them: plain ASGI, without buffering in memory.

The link is the credential, and ends with the token that created it. A file is written beside its target and renamed, so
that no reader sees a partial file; a link accepts a single PUT.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from greenroom.apps.rules import Holder
from greenroom.basics import disk, signing
from greenroom.basics.errors import GreenroomError, NotFoundError, UserError
from greenroom.entrypoints.streams.link_holders import Holders
from greenroom.git.drivers import source_archives

PLAIN = (b"content-type", b"text/plain; charset=utf-8")
BLOCK = 1 << 18
LOOK = 16 * 1024 * 1024
"""Bytes of an upload between two disk checks."""


class Gate:
    """The application's state: one home, and the uploads in progress."""

    def __init__(self, home: Path, key: str, holders: Holders) -> None:
        self.home, self.key, self.holders = home, key, holders
        self.drafts: set[Path] = set()

    async def admit(self, token: str, purpose: str) -> tuple[Path, Holder]:
        """The file of a link and its holder. NotFoundError for an invalid or expired link, or a holder without
        permission.
        """
        payload = signing.unsign(token, key=self.key, purpose=purpose)
        holder = await self.holders.admit(payload)
        return source_archives.place(self.home, str(payload.get("source"))), holder

    @contextlib.contextmanager
    def draft(self, goal: Path) -> Iterator[tuple[Path, BinaryIO]]:
        """A temporary file beside the target, removed after the block. UserError while another upload is open.

        A file left by a killed process is removed.
        """
        draft = goal.with_name(f".{goal.name}.part")
        if draft in self.drafts:
            raise UserError("An upload to this link is in progress.", hint="create a new one: POST /sources")
        self.drafts.add(draft)
        try:
            draft.unlink(missing_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
                yield draft, file
        finally:
            draft.unlink(missing_ok=True)
            self.drafts.discard(draft)


def make_app(home: Path, key: str, holders: Holders) -> Callable[..., Awaitable[None]]:
    """The ASGI application of one home: ``/streams/sources/TOKEN`` with PUT and GET."""
    gate = Gate(home, key, holders)

    async def application(scope: dict, receive: Any, send: Any) -> None:
        handlers = {"PUT": _take, "GET": _give, "HEAD": _give}
        token = scope["path"].removeprefix(source_archives.PATH)
        try:
            if scope["method"] not in handlers:
                raise UserError("A source can be written with PUT and read with GET.")
            await handlers[scope["method"]](gate, token, scope, receive, send)
        except GreenroomError as error:
            await _answer(send, error.status, f"{error}\n".encode())

    return application


async def _answer(send: Any, status: int, body: bytes = b"") -> None:
    """Send the whole response and close the connection: the Heroku CLI would wait for it before exiting."""
    headers = [PLAIN, (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _take(gate: Gate, token: str, scope: dict, receive: Any, send: Any) -> None:
    goal, holder = await gate.admit(token, source_archives.PUT)
    if goal.exists():
        raise UserError("An archive was already uploaded to this link.", hint="create a new one: POST /sources")
    goal.parent.mkdir(mode=0o700, exist_ok=True)
    disk.guard(gate.home, "uploads")
    revoked = asyncio.Event()
    with gate.draft(goal) as (draft, file), gate.holders.watch(holder, revoked.set):
        if not await _copy(gate.home, receive, file, revoked):
            return  # the client has disconnected
        file.flush()
        try:
            await asyncio.to_thread(os.link, draft, goal)
        except FileExistsError as error:
            raise UserError(
                "An archive was already uploaded to this link.", hint="create a new one: POST /sources"
            ) from error
    await _answer(send, 200)


async def _copy(home: Path, receive: Any, file: BinaryIO, revoked: asyncio.Event) -> bool:
    size = looked = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return False
        if revoked.is_set():
            raise NotFoundError("This link is not valid or has expired.", hint="request a new one")
        data = message.get("body", b"")
        size += len(data)
        if size > source_archives.MAX_BYTES:
            raise UserError(
                f"The archive is too large. Limit: {source_archives.MAX_BYTES // 1024**2} MB.",
                hint="leave out unnecessary files",
            )
        if size - looked >= LOOK:
            looked = size
            await asyncio.to_thread(disk.guard, home, "uploads")
        await asyncio.to_thread(file.write, data)
        if not message.get("more_body"):
            return True


async def _give(gate: Gate, token: str, scope: dict, receive: Any, send: Any) -> None:
    path, _ = await gate.admit(token, source_archives.GET)
    if not path.is_file():
        raise NotFoundError("Nothing was uploaded to this link.", hint="PUT the archive to its put_url first")
    with await asyncio.to_thread(path.open, "rb") as file:
        headers = [
            (b"content-type", b"application/octet-stream"),
            (b"content-length", b"%d" % os.fstat(file.fileno()).st_size),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while scope["method"] == "GET" and (block := await asyncio.to_thread(file.read, BLOCK)):
            await send({"type": "http.response.body", "body": block, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
