"""Answers git hooks over a unix socket: checks and records a push before the refs change, settles and reports it after.

The git room has the rules; ``follow`` supplies the delivery's output. No state of a push is in memory: its token is
signed and its intents are rows, so another process than the one that started the push can answer its hooks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from greenroom.accounts.models import Account
from greenroom.accounts.queries import actor_of
from greenroom.apps.models import App
from greenroom.basics import client_commands, signing, unixsock
from greenroom.basics.database import judged
from greenroom.basics.errors import ForbiddenError, GreenroomError, NotFoundError
from greenroom.basics.text import printable
from greenroom.builds import actions as builds
from greenroom.entrypoints.git_http.app import PURPOSE
from greenroom.entrypoints.git_http.threads import in_long_thread, in_thread
from greenroom.git import actions, rules
from greenroom.git.actions import Answer
from greenroom.git.drivers import repository
from greenroom.git.models import Push
from greenroom.git.rules import Refusal, Update

log = logging.getLogger(__name__)

Follow = Callable[[Push], AsyncIterator[str]]
Guard = Callable[[App, list[Update]], list[Refusal]]
REQUEST_BYTES = 4_000_000
REQUEST_SECONDS = 10.0
FAILED = " !     Internal error while checking this push. Nothing was changed. See Greenroom's log."


@dataclass(frozen=True, kw_only=True)
class Request:
    """A hook's request, with its token's content.

    client: the CLI whose commands the messages name (basics.client_commands). quarantine: the folder of the new
    objects, None if the push has none.
    """

    hook: str
    app: App
    account: Account | None
    address: str
    updates: list[Update]
    quarantine: Path | None
    client: str
    options: list[str]


async def serve(home: Path, follow: Follow | None = None, guard: Guard | None = None) -> None:
    """Serve ``<home>/run/git-hooks.sock`` until cancelled.

    ``follow(push)`` yields the output lines after the push is recorded. ``guard(app, updates)`` returns refusals in
    addition to the git room's rules.
    """
    repository.write_launchers(home)
    listener = unixsock.bind(home / repository.SOCKET, mode=0o600)
    server = HooksServer(home, follow, guard)
    async with await asyncio.start_unix_server(server.handle, sock=listener, limit=REQUEST_BYTES) as running:
        await running.serve_forever()


class HooksServer:
    """One connection per hook: reads lines up to an empty one, writes lines up to ``exit CODE`` (see hook.py)."""

    def __init__(self, home: Path, follow: Follow | None, guard: Guard | None = None) -> None:
        self.home = home
        self.follow = follow
        self.guard = guard
        self.tidying: set[asyncio.Task[None]] = set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one hook. An error after a push is only logged: without an answer the hook prints "recorded"."""
        text = b""
        lines: list[str] = []
        try:
            _check_peer(writer.get_extra_info("socket"))
            text = await asyncio.wait_for(reader.readuntil(b"\n\n"), REQUEST_SECONDS)
            request = await in_thread(read, text)
            await (self._before if request.hook == "pre-receive" else self._after)(request, reader, writer)
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            log.info("a hook disconnected: %r", error)
        except GreenroomError as error:
            log.info("a hook was refused: %s", error)
            lines = [f" !     {error.message}", *([f"       hint: {error.hint}"] if error.hint else [])]
        except Exception as error:
            if told := judged(error):
                log.warning("a hook: %s: %s", told.message, str(error).strip())
                lines = [f" !     {told.message} Nothing was changed.", "       hint: push again in a few seconds"]
            else:
                log.exception("answering a hook failed")
                lines = [FAILED]
        if lines and text.startswith(b"pre-receive\n"):
            await _tell(writer, lines, exit=1)
        writer.close()

    async def _before(self, request: Request, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if request.account is not None and not request.account.is_active:
            raise ForbiddenError(f"{request.account.email} was disabled. Nothing was changed.")
        refusals = await in_thread(self.guard, request.app, request.updates) if self.guard else []
        if refusals:
            await _tell(writer, _worded(request, rules.refusal_lines(refusals)), exit=1)
            return
        if lines := rules.unknown_options(request.options):
            await _tell(writer, list(lines), exit=1)
            return
        answer: Answer = await in_long_thread(
            actions.accept,
            app=request.app,
            home=self.home,
            account=request.account,
            updates=request.updates,
            quarantine=request.quarantine,
            address=request.address,
        )
        if answer.accepted and "no-cache" in request.options and request.account:
            await in_thread(
                builds.start_afresh, actor=actor_of(request.account, address=request.address), app=request.app
            )
            await _tell(writer, ["-----> This build and later ones do not use the previous build cache"])
        await _tell(writer, _worded(request, answer.lines), exit=0 if answer.accepted else 1)

    async def _after(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pushes = await in_thread(settle, self.home, request)
        await _write(writer, "settled")
        following = asyncio.create_task(self._report(request, pushes, writer))
        gone = asyncio.create_task(reader.read(1))
        try:
            await asyncio.wait({following, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (following, gone):
                task.cancel()
            await asyncio.gather(following, gone, return_exceptions=True)
        if not gone.done() or gone.cancelled():
            await _tell(writer, [], exit=0)
        task = asyncio.create_task(self._tidy(request.app))
        self.tidying.add(task)
        task.add_done_callback(self.tidying.discard)

    async def _report(self, request: Request, pushes: list[Push], writer: asyncio.StreamWriter) -> None:
        """Stream the output of each push's delivery. An error here ends the output, but does not affect the push."""
        for push in pushes if self.follow else []:
            try:
                assert self.follow
                async for line in self.follow(push):
                    await _tell(
                        writer, _worded(request, [printable(line, 10_000, one_line=True, colours=True, instead="?")])
                    )
            except (ConnectionError, asyncio.CancelledError):
                raise
            except Exception:
                log.exception("following push %s failed", push.pk)
                hint = f"greenroom deliveries -a {push.app.name}"
                await _tell(writer, [f"-----> Push recorded, but its progress cannot be shown. hint: {hint}"])

    async def _tidy(self, app: App) -> None:
        with contextlib.suppress(OSError):
            await in_long_thread(actions.tidy, app=app, home=self.home)


def _check_peer(connection: Any) -> None:
    uid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))[1]
    if uid not in (0, os.geteuid()):
        raise ForbiddenError("Only hooks of Greenroom's repositories may use this socket.")


def read(text: bytes) -> Request:
    """Parse the request, verify its token and load its app. Raises NotFoundError if the token or the app is invalid."""
    hook, token, quarantine, *rest = text.decode("utf-8", "surrogateescape").removesuffix("\n\n").split("\n")
    options = [line.removeprefix("option ") for line in rest if line.startswith("option ")]
    lines = [line for line in rest if not line.startswith("option ")]
    payload = signing.unsign(token, key=settings.SECRET_KEY, purpose=PURPOSE)
    app = App.objects.select_related("owner").filter(pk=uuid.UUID(payload["app"])).first()
    if app is None:
        raise NotFoundError(
            "Couldn't find that app: it was destroyed in the meantime.", hint="greenroom apps", resource="app"
        )
    return Request(
        hook=hook,
        app=app,
        account=Account.objects.filter(pk=uuid.UUID(payload["account"])).first() if payload["account"] else None,
        address=payload["address"],
        updates=[
            Update(before=before, after=after, ref=ref) for before, after, ref in (line.split(" ", 2) for line in lines)
        ],
        client=payload.get("client", ""),
        quarantine=Path(quarantine) if quarantine != "-" else None,
        options=options,
    )


def settle(home: Path, request: Request) -> list[Push]:
    """Settle the hook's push. Returns the pushes to follow."""
    app = request.app
    actions.settle(app=app, home=home)
    found = []
    for update in rules.canonical_updates(request.updates, app.protected_branch):
        if rules.is_protected(update.ref, app.protected_branch) and not update.deletes:
            rows = Push.objects.filter(app=app, ref=update.ref, after=update.after, state="recorded")
            found += list(rows.select_related("app", "account").order_by("-seq")[:1])
    return found


def _worded(request: Request, lines: Sequence[str]) -> list[str]:
    return [client_commands.in_words_of(request.client, line) for line in lines]


async def _tell(writer: asyncio.StreamWriter, lines: list[str], exit: int | None = None) -> None:
    for line in lines:
        await _write(writer, f"say {line}")
    if exit is not None:
        await _write(writer, f"exit {exit}")


async def _write(writer: asyncio.StreamWriter, line: str) -> None:
    with contextlib.suppress(ConnectionError):
        writer.write(line.replace("\n", " ").encode("utf-8", "replace") + b"\n")
        await writer.drain()
