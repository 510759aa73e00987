"""A git operation in progress ends when its account loses access."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from types import SimpleNamespace

import pytest

from greenroom.accounts.rules import Actor
from greenroom.basics.errors import ForbiddenError
from greenroom.entrypoints.git_http.access import nobody_leaves, while_allowed

ACTOR = Actor(account_id=uuid.uuid4(), email="bob@example.com", token_id=uuid.uuid4(), mark="0123")
APP = SimpleNamespace(pk=uuid.uuid4())


class Watching:
    """Keeps what is open, as ``link_holders.Holders`` does."""

    def __init__(self):
        self.open = []

    @contextlib.contextmanager
    def __call__(self, holder, close):
        self.open.append((holder, close))
        try:
            yield
        finally:
            self.open.clear()


def test_lost_access_ends_the_operation_with_a_reason():
    async def story():
        watching = Watching()

        async def operation():
            async with while_allowed(watching, ACTOR, APP, "push"):
                await asyncio.sleep(600)

        running = asyncio.create_task(operation())
        while not watching.open:
            await asyncio.sleep(0)
        holder, close = watching.open[0]
        assert (holder.account, holder.token) == (str(ACTOR.account_id), f"{ACTOR.token_id}.0123")
        assert (holder.app, holder.permission) == (str(APP.pk), "push")
        close()
        with pytest.raises(ForbiddenError, match="revoked"):
            await running
        assert not watching.open

    asyncio.run(asyncio.wait_for(story(), 20))


def test_another_cancellation_stays_one():
    async def story():
        async def operation():
            async with while_allowed(nobody_leaves, ACTOR, APP, "push"):
                await asyncio.sleep(600)

        running = asyncio.create_task(operation())
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(asyncio.wait_for(story(), 20))
