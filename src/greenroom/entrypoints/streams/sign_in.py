"""Waits for a user's confirmation of a login in a browser: ``GET /auth/cli/ID``, as plain ASGI, without a thread per
client.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from greenroom.basics import clock
from greenroom.basics.errors import GreenroomError
from greenroom.basics.waiting_limits import Crowd

PREFIX = "/auth/cli/"
PAUSE = 0.5
LONGEST = 600.0
EACH, MOST = 20, 200
"""Maximum waiting commands of one address and in all; a new one replaces the one waiting for longest."""
_crowd = Crowd(EACH, MOST)

Collect = Callable[[str, str], Awaitable[str | None]]


async def respond(scope: dict[str, Any], receive: Any, send: Any, collect: Collect, pause: float = PAUSE) -> None:
    """Respond when ``collect(id, secret)`` returns a token or an error; polls until the client disconnects."""
    secret = _bearer(scope)
    gone, away = asyncio.create_task(_gone(receive)), asyncio.Event()
    deadline = clock.monotonic() + LONGEST
    _crowd.enter(gone, str((scope.get("client") or ("",))[0]), away.set)
    try:
        while not gone.done():
            if away.is_set():
                text = "Too many sign-ins are pending."
                return await _answer(send, 503, {"id": "busy", "message": text, "error": text, "url": ""})
            try:
                token = await collect(scope["path"].removeprefix(PREFIX), secret)
            except GreenroomError as error:
                return await _answer(
                    send, error.status, {"id": error.id, "message": error.message, "error": str(error), "url": ""}
                )
            if token is not None:
                return await _answer(send, 200, {"access_token": token})
            if clock.monotonic() > deadline:
                return await _answer(
                    send,
                    403,
                    {"id": "forbidden", "message": "Nobody answered.", "error": "Nobody answered.", "url": ""},
                )
            await asyncio.wait([gone], timeout=pause)
    finally:
        _crowd.left(gone)
        gone.cancel()


def _bearer(scope: dict[str, Any]) -> str:
    header = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    return header.decode("latin-1").partition(" ")[2].strip()


async def _gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(send: Any, status: int, body: dict[str, Any]) -> None:
    data = json.dumps(body).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        (b"content-length", b"%d" % len(data)),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})
