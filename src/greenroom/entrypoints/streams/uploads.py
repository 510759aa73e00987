"""Takes archives that clients send to a signed link, and gives them back: a plain ASGI function that keeps nothing in memory.

The link is the credential. A file is written beside and renamed, so that nobody ever reads half of one; the second PUT to a link is refused.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, BinaryIO

from greenroom.basics import signing
from greenroom.basics.errors import GreenroomError, NotFoundError, UserError
from greenroom.git import uploads

PLAIN = (b"content-type", b"text/plain; charset=utf-8")
BLOCK = 1 << 18


def make_app(home: Path, key: str) -> Callable[..., Awaitable[None]]:
    """The ASGI application of one home: ``/streams/sources/TOKEN`` with PUT and GET."""

    async def application(scope: dict, receive: Any, send: Any) -> None:
        handlers = {"PUT": _take, "GET": _give, "HEAD": _give}
        token = scope["path"].removeprefix(uploads.PATH)
        try:
            if scope["method"] not in handlers:
                raise UserError("A source can be written with PUT and read with GET.")
            await handlers[scope["method"]](home, key, token, scope, receive, send)
        except GreenroomError as error:
            await _answer(send, error.status, f"{error}\n".encode())

    return application


async def _answer(send: Any, status: int, body: bytes = b"") -> None:
    """The whole answer. The connection is closed: the Heroku CLI would wait for it to end before it ends itself."""
    headers = [PLAIN, (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _take(home: Path, key: str, token: str, scope: dict, receive: Any, send: Any) -> None:
    name = str(signing.unsign(token, key=key, purpose=uploads.PUT).get("source"))
    goal = uploads.place(home, name)
    if goal.exists():
        raise UserError("Something was uploaded to this link already.", hint="POST /sources gives a new one")
    goal.parent.mkdir(mode=0o700, exist_ok=True)
    draft = goal.with_name(f".{name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            if not await _copy(receive, file):
                return  # the client has gone
        await asyncio.to_thread(os.link, draft, goal)
    except FileExistsError as error:
        raise UserError("Something was uploaded to this link already.", hint="POST /sources gives a new one") from error
    finally:
        draft.unlink(missing_ok=True)
    await _answer(send, 200)


async def _copy(receive: Any, file: BinaryIO) -> bool:
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return False
        data = message.get("body", b"")
        size += len(data)
        if size > uploads.MAX_BYTES:
            raise UserError(f"A source may have {uploads.MAX_BYTES // 1024**2} MB.", hint="leave out what need not be in it")
        await asyncio.to_thread(file.write, data)
        if not message.get("more_body"):
            return True


async def _give(home: Path, key: str, token: str, scope: dict, receive: Any, send: Any) -> None:
    name = str(signing.unsign(token, key=key, purpose=uploads.GET).get("source"))
    path = uploads.place(home, name)
    if not path.is_file():
        raise NotFoundError("Nothing was uploaded to this link.", hint="PUT the archive to its put_url first")
    with await asyncio.to_thread(path.open, "rb") as file:
        headers = [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % os.fstat(file.fileno()).st_size)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while scope["method"] == "GET" and (block := await asyncio.to_thread(file.read, BLOCK)):
            await send({"type": "http.response.body", "body": block, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
