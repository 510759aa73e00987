"""Git LFS over HTTP: ``/<app>.git/info/lfs``, the batch API with the basic transfer, as an ASGI function beside Django.

Each request is authenticated and authorised like a push or a fetch. Locks are not supported.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings

from greenroom.accounts.rules import Actor
from greenroom.apps.models import App
from greenroom.basics import disk
from greenroom.basics.errors import ForbiddenError, GreenroomError, NotFoundError, UnauthorizedError, UserError
from greenroom.entrypoints.git_http.access import Watch, while_allowed
from greenroom.entrypoints.git_http.service import IDLE, GoneError, RequestError
from greenroom.entrypoints.git_http.threads import in_thread
from greenroom.git import queries
from greenroom.git.drivers import lfs_store
from greenroom.git.rules import lfs as rules

log = logging.getLogger(__name__)

PATH = re.compile(r"info/lfs(?:/(.*))?\Z", re.DOTALL)
OBJECT = re.compile(r"objects/([0-9a-f]{64})\Z")
HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(?::[0-9]{1,5})?\Z|\[[0-9a-fA-F:.]{2,45}\](?::[0-9]{1,5})?\Z")
KIND = b"application/vnd.git-lfs+json"
NEED = {"upload": "write", "download": "read"}
BLOCK = 1 << 18
LOOK = 16 * 1024 * 1024
"""Bytes of an upload between two checks of the disk."""
TRANSFERS = 40
TRANSFERS_PER_APP = 16
CHALLENGES = (b"lfs-authenticate", b"www-authenticate")
NO_LOCKS = "Locks of Git LFS are not supported."

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class LfsHttp:
    """The requests of all apps. ``authenticate``, ``authorise`` and ``watch`` are those of ``GitHttp``.

    used: bytes in Git LFS per app, counted at each batch of uploads, so that a single upload need not count them.
    open: bytes of the uploads in progress per app.
    """

    def __init__(self, home: Path, authenticate: Any, authorise: Any, watch: Watch) -> None:
        self.home, self.authenticate, self.authorise, self.watch = home, authenticate, authorise, watch
        self.running: Counter[str] = Counter()
        self.used: dict[str, int] = {}
        self.open: Counter[str] = Counter()

    async def respond(self, scope: Any, receive: Receive, send: Send, name: str, place: str) -> None:
        """Answer a request below ``info/lfs`` of the app ``name``; errors have the form of the LFS protocol."""
        try:
            await _Request(self, scope, receive, send, name).route(place)
        except RequestError as error:
            await reply(send, error.status, {"message": error.text})
        except GoneError:
            log.info("git lfs: the client of %s disconnected", name)
        except GreenroomError as error:
            text = f"{error.message} hint: {error.hint}" if error.hint else error.message
            await reply(send, error.status, {"message": text})


class _Request:
    """One request."""

    def __init__(self, lfs: LfsHttp, scope: Any, receive: Receive, send: Send, name: str) -> None:
        self.lfs, self.scope, self.receive, self.send, self.name = lfs, scope, receive, send, name
        self.headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        self.method = scope["method"]

    async def route(self, place: str) -> None:
        """Find and run the handler."""
        if place.startswith("locks"):  # 501: the client stops asking, without a message
            return await reply(self.send, 501, {"message": NO_LOCKS})
        actor = await self.lfs.authenticate(self.headers, (self.scope.get("client") or ("",))[0])
        if actor is None:
            raise UnauthorizedError("Authentication required: use any user name, and an API token as password.")
        match = OBJECT.match(place)
        if place == "objects/batch" and self.method == "POST":
            return await self._batch(actor)
        if place == "objects/verify" and self.method == "POST":
            return await self._verify(actor)
        if match and self.method == "PUT":
            return await self._take(actor, match[1])
        if match and self.method in ("GET", "HEAD"):
            return await self._give(actor, match[1])
        raise NotFoundError("Not found. Git LFS uses objects/batch, objects/verify and objects/<oid>.")

    async def _allowed(self, actor: Actor, need: str) -> tuple[App, Path]:
        app: App = await self.lfs.authorise(actor, self.name, need)
        return app, await in_thread(queries.repository_path, app, self.lfs.home)

    # -- the batch API -------------------------------------------------------------------------------------------------

    async def _batch(self, actor: Actor) -> None:
        asked = rules.read_batch(await self._body())
        app, repo = await self._allowed(actor, NEED[asked.operation])
        stored = await in_thread(lfs_store.sizes, repo, [oid for oid, _ in asked.objects])
        if asked.operation == "upload":
            await self._judge(app, repo, sum(size for oid, size in asked.objects if oid not in stored))
        base = self._base()
        give = _uploaded if asked.operation == "upload" else _downloaded
        rows = [
            {"oid": oid, "size": size, **give(f"{base}/objects", oid, size, stored.get(oid))}
            for oid, size in asked.objects
        ]
        await reply(self.send, 200, {"transfer": "basic", "objects": rows, "hash_algo": "sha256"})

    async def _judge(self, app: App, repo: Path, more: int) -> None:
        """Check the space for new objects. UserError, DiskFullError."""
        await in_thread(lfs_store.sweep, repo)
        used = self.lfs.used[app.pk.hex] = await in_thread(lfs_store.used, repo)
        _within_quota(app, used + self.lfs.open[app.pk.hex], more)
        await asyncio.to_thread(disk.guard, self.lfs.home, "pushes", more)

    async def _verify(self, actor: Actor) -> None:
        oid, size = rules.read_object(await self._body())
        _, repo = await self._allowed(actor, "write")
        if await in_thread(lfs_store.size_of, repo, oid) != size:
            raise NotFoundError(f"The object {oid[:12]} is not stored.", hint="push again")
        await reply(self.send, 200, {})

    def _base(self) -> str:
        """The URL of this API as the client reached it."""
        host = self.headers.get("host", "")
        if not HOST.match(host):
            raise UserError("The request has no valid Host header.")
        secure = "https" in (self.scope.get("scheme"), self.headers.get("x-forwarded-proto"))
        return f"{'https' if secure else 'http'}://{host}/{self.name}.git/info/lfs"

    async def _body(self) -> bytes:
        """The whole request body, up to its limit."""
        body, more = b"", True
        while more:
            data, more = await self._piece()
            body += data
            if len(body) > rules.MAX_BODY:
                raise RequestError(413, f"The request is larger than {rules.MAX_BODY / 1e6:.0f} MB.")
        return body

    async def _piece(self) -> tuple[bytes, bool]:
        """(data, whether more follows). RequestError after a timeout, GoneError."""
        try:
            message = await asyncio.wait_for(self.receive(), IDLE)
        except TimeoutError:
            raise RequestError(408, f"No data was transferred for {IDLE:.0f} s.") from None
        if message["type"] == "http.disconnect":
            raise GoneError
        return message.get("body", b""), message.get("more_body", False)

    # -- the basic transfer --------------------------------------------------------------------------------------------

    async def _take(self, actor: Actor, oid: str) -> None:
        app, repo = await self._allowed(actor, "write")
        size = self._length()
        if text := rules.too_big(size):
            raise RequestError(413, text)
        if app.pk.hex not in self.lfs.used:
            self.lfs.used[app.pk.hex] = await in_thread(lfs_store.used, repo)
        _within_quota(app, self.lfs.used[app.pk.hex] + self.lfs.open[app.pk.hex], size)
        with self._admitted(app):
            self.lfs.open[app.pk.hex] += size
            try:
                async with while_allowed(self.lfs.watch, actor, app, "push"):
                    await self._receive(repo, oid)
            finally:
                self.lfs.open[app.pk.hex] -= size
        self.lfs.used[app.pk.hex] += size
        await reply(self.send, 200, {})

    def _length(self) -> int:
        """The size of the body; the server reads no more than that."""
        length = self.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit() and len(length) < 16):
            raise RequestError(411, "An upload needs a Content-Length.")
        return int(length)

    async def _receive(self, repo: Path, oid: str) -> None:
        with lfs_store.upload(repo, oid) as upload:
            looked, more = -LOOK, True
            while more:
                data, more = await self._piece()
                await asyncio.to_thread(upload.write, data)
                if upload.size - looked >= LOOK:
                    looked = upload.size
                    await asyncio.to_thread(disk.guard, self.lfs.home, "pushes")
            await asyncio.to_thread(upload.keep)

    async def _give(self, actor: Actor, oid: str) -> None:
        app, repo = await self._allowed(actor, "read")
        path = lfs_store.place(repo, oid)
        if not await asyncio.to_thread(path.is_file):
            raise NotFoundError(f"The object {oid[:12]} is not stored in {app.name}.")
        with self._admitted(app), await asyncio.to_thread(path.open, "rb") as file:
            try:
                async with while_allowed(self.lfs.watch, actor, app, "view"):
                    await self._send_file(file)
            except ForbiddenError:  # the response has begun, and only its end can tell
                raise GoneError from None

    async def _send_file(self, file: BinaryIO) -> None:
        length = str(os.fstat(file.fileno()).st_size).encode()
        headers = [(b"content-type", b"application/octet-stream"), (b"content-length", length)]
        await self.send({"type": "http.response.start", "status": 200, "headers": headers})
        while self.method == "GET" and (block := await asyncio.to_thread(file.read, BLOCK)):
            await self._send_block(block)
        await self.send({"type": "http.response.body", "body": b""})

    async def _send_block(self, block: bytes) -> None:
        try:
            await asyncio.wait_for(self.send({"type": "http.response.body", "body": block, "more_body": True}), IDLE)
        except TimeoutError:
            raise GoneError from None

    @contextlib.contextmanager
    def _admitted(self, app: App) -> Iterator[None]:
        """Count a transfer while it runs. RequestError if too many are in progress."""
        running, names = self.lfs.running, ("", app.pk.hex)
        if running[""] >= TRANSFERS or running[app.pk.hex] >= TRANSFERS_PER_APP:
            raise RequestError(503, "Too many transfers of Git LFS are in progress. Try again later.")
        running.update(names)
        try:
            yield
        finally:
            running.subtract(names)


def _within_quota(app: App, used: int, more: int) -> None:
    if text := rules.over_quota(app.name, used, more, settings.LFS_MB * 1_000_000):
        raise UserError(text, hint=rules.QUOTA_HINT)


def _uploaded(base: str, oid: str, size: int, stored: int | None) -> dict[str, Any]:
    """The answer for an object of an upload; without actions, the client has nothing to send."""
    if text := rules.too_big(size):
        return {"error": {"code": 422, "message": text}}
    if stored is not None:
        return {}
    return {"actions": {"upload": {"href": f"{base}/{oid}"}, "verify": {"href": f"{base}/verify"}}}


def _downloaded(base: str, oid: str, size: int, stored: int | None) -> dict[str, Any]:
    if stored is None:
        return {"error": {"code": 404, "message": f"The object {oid[:12]} is not stored."}}
    return {"actions": {"download": {"href": f"{base}/{oid}"}}}


async def reply(send: Send, status: int, content: dict[str, Any]) -> None:
    """Send a JSON response."""
    body = json.dumps(content).encode()
    headers = [(b"content-type", KIND), (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
    if status == 401:
        headers += [(name, b'Basic realm="Greenroom", charset="UTF-8"') for name in CHALLENGES]
    if status >= 400:
        headers.append((b"connection", b"close"))  # the rest of an upload is not read
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
