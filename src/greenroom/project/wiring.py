"""Connects entry points to rooms: authentication of git requests, and the push output during a delivery."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from pathlib import Path
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import OperationalError, close_old_connections

from greenroom.accounts.actions import rate_limits, sign_ins
from greenroom.accounts.rules import Actor
from greenroom.apps import queries as apps
from greenroom.apps.models import App
from greenroom.apps.rules import Holder
from greenroom.basics import clock
from greenroom.basics.database import judged
from greenroom.basics.errors import PlatformError
from greenroom.deliveries import actions
from greenroom.deliveries.drivers import transcript
from greenroom.dynos.actions import planned_starts
from greenroom.dynos.queries import unstarted
from greenroom.entrypoints.api.auth import actor_of_header
from greenroom.entrypoints.streams.attached import NotStartedError
from greenroom.git.models import Push
from greenroom.git.rules import Refusal, Update
from greenroom.sources.queries import push_refusals

A = TypeVar("A")
T = TypeVar("T")
POLL = 0.04
NEED = {"read": "view", "write": "push", "view": "view", "push": "push"}


async def authenticate(headers: Mapping[str, str], address: str = "") -> Actor | None:
    """The actor of a git request, or None. Raises RateLimitError after too many failed attempts from the address."""

    def find() -> Actor | None:
        close_old_connections()
        given = headers.get("authorization", "")
        actor = actor_of_header(given, address=address)
        if given and actor is None:
            rate_limits.spend(None, address)  # failed attempts share the API's rate limit bucket
        return actor

    return await sync_to_async(find, thread_sensitive=False)()


async def authorise(actor: Actor | None, name: str, need: str) -> App:
    """The app, if the actor may read from it or write to it."""

    def find() -> App:
        close_old_connections()
        return apps.authorise(actor, name, NEED[need])

    return await sync_to_async(find, thread_sensitive=False)()


async def collect_sign_in(id: str, secret: str) -> str | None:
    """The token of a confirmed sign-in; None before the confirmation, or during a database restart."""

    def find() -> str | None:
        close_old_connections()
        try:
            return sign_ins.collect(id=id, secret=secret)
        except OperationalError:
            return None

    return await sync_to_async(find, thread_sensitive=False)()


async def still_allowed(holders: Collection[Holder]) -> set[Holder]:
    """The link holders whose token, account and role still permit access."""
    return await _of_link(apps.still_allowed, holders)


class Starts:
    """The planned starts of one-off dynos, for the rendezvous server."""

    async def planned(self, dyno: str) -> bool:
        """Whether the dyno is still to be started. NotStartedError, with the reason, if it never will."""
        found = await _of_link(unstarted, dyno)
        if found.refusal:
            raise NotStartedError(found.refusal)
        return found.planned

    async def cancel(self, dyno: str) -> None:
        """Its client has left: do not start it."""
        await _of_link(planned_starts.cancel, dyno)


async def _of_link(function: Callable[[A], T], argument: A) -> T:
    """Call a function about a link in a thread. PlatformError while the database does not answer."""

    def call() -> T:
        close_old_connections()
        try:
            return function(argument)
        except OperationalError as error:
            raise judged(error) or PlatformError(
                "The link cannot be verified at the moment.", hint="try again"
            ) from error

    return await sync_to_async(call, thread_sensitive=False)()


def guard(app: App, updates: list[Update]) -> list[Refusal]:
    """Refusals in addition to the git room's rules: an app that follows a source does not accept pushes."""
    return push_refusals(app, updates)


def _begin(push_id: uuid.UUID) -> tuple[Path, str] | None:
    """Open the push's delivery. Returns (transcript path, app name), or None if the push is not deployed."""
    close_old_connections()
    push = Push.objects.select_related("app", "account").get(pk=push_id)
    if push.ref != f"refs/heads/{push.app.protected_branch}" or set(push.after) == {"0"}:
        return None
    delivery = actions.open_for_push(push=push)
    return settings.HOME / delivery.transcript, delivery.app.name


async def follow(push: Push) -> AsyncIterator[str]:
    """Stream the push output until the delivery has ended or ``PUSH_WAIT`` seconds have passed."""
    begun = await sync_to_async(_begin, thread_sensitive=False)(push.pk)
    if begun is None:
        return
    path, app = begun
    deadline = clock.monotonic() + settings.PUSH_WAIT
    place, rest = 0, b""
    while True:
        closed = transcript.is_closed(path)
        data = await asyncio.to_thread(_read, path, place)
        place += len(data)
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace")
        if closed and not data:
            return
        if clock.monotonic() > deadline:
            yield f"-----> Still in progress. Follow it with: greenroom deliveries:wait {push.after[:8]} -a {app}"
            return
        await asyncio.sleep(POLL)


def _read(path: Path, place: int) -> bytes:
    try:
        with path.open("rb") as stream:
            stream.seek(place)
            return stream.read(262_144)
    except FileNotFoundError:
        return b""
