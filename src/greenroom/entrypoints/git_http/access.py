"""Ends a git operation in progress when its account, its token or its role is gone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager

from greenroom.accounts.rules import Actor
from greenroom.apps.models import App
from greenroom.apps.rules import Holder
from greenroom.basics.errors import ForbiddenError

Watch = Callable[[Holder, Callable[[], object]], AbstractContextManager[None]]


def nobody_leaves(holder: Holder, close: Callable[[], object]) -> AbstractContextManager[None]:
    """For a process without the control plane's rows: no operation is ended."""
    return contextlib.nullcontext()


@contextlib.asynccontextmanager
async def while_allowed(watch: Watch, actor: Actor, app: App, permission: str) -> AsyncIterator[None]:
    """Run the block as a part of the current task; ForbiddenError, in the middle of it, when access is lost."""
    task, lost = asyncio.current_task(), False
    assert task is not None

    def close() -> None:
        nonlocal lost
        lost = True
        task.cancel()

    token = f"{actor.token_id}.{actor.mark}" if actor.token_id else ""
    holder = Holder(account=str(actor.account), token=token, app=str(app.pk), permission=permission)
    try:
        with watch(holder, close):
            yield
    except asyncio.CancelledError:
        if not lost:
            raise
        task.uncancel()
        raise ForbiddenError("Your access was revoked. The operation was ended.", hint="ask an administrator") from None
