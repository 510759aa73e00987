"""Whether holders of links may still use them: checked when a link is opened, when somebody has lost access, and every
few seconds for all open links.

The caller supplies the check (tokens, accounts, roles); one call checks any number of holders.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Any

from greenroom.apps.rules import Holder
from greenroom.basics.errors import NotFoundError, UserError

log = logging.getLogger(__name__)

SECONDS = 2.0
"""Seconds between two checks without a notification. Only a token's expiry, and a notification lost with the database
connection, wait for them.
"""

Ask = Callable[[Collection[Holder]], Awaitable[set[Holder]]]


async def everybody(holders: Collection[Holder]) -> set[Holder]:
    """Allow all of them: for a process that has only the streams."""
    return set(holders)


class BusyError(UserError):
    """The account has reached its limit of open connections of this kind."""

    id = "rate_limit"
    status = 429


class Shares:
    """Open connections of each account, at most ``most``, so that no account exhausts the total. kind: their plural
    name.
    """

    def __init__(self, most: int, kind: str) -> None:
        self.most, self.kind = most, kind
        self._of: Counter[str] = Counter()

    @contextlib.contextmanager
    def one(self, account: str) -> Iterator[None]:
        """Count one connection during the block. BusyError if the account has reached its limit."""
        if self._of[account] >= self.most:
            raise BusyError(
                f"Your account has {self.most} {self.kind} open already.", hint="close some of them, then try again"
            )
        self._of[account] += 1
        try:
            yield
        finally:
            self._of[account] -= 1
            if not self._of[account]:
                del self._of[account]


class Holders:
    """The holders of open links of one process."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._open: dict[object, tuple[Holder, Callable[[], object]]] = {}
        self._task: asyncio.Task[None] | None = None
        self._due = asyncio.Event()

    def check(self) -> None:
        """Check all open links now: somebody has lost access."""
        self._due.set()

    async def admit(self, payload: dict[str, Any]) -> Holder:
        """The holder of a newly opened link. NotFoundError, with the message for an expired link, if it is not
        permitted.
        """
        try:
            holder = Holder(**payload["who"])
        except (KeyError, TypeError):
            holder = None
        if holder is None or holder not in await self._ask({holder}):
            raise NotFoundError("This link is not valid or has expired.", hint="request a new one")
        return holder

    @contextlib.contextmanager
    def watch(self, holder: Holder, close: Callable[[], object]) -> Iterator[None]:
        """Call ``close`` once, as soon as the holder may no longer use the link."""
        key = object()
        self._open[key] = (holder, close)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._open.pop(key, None)

    async def _run(self) -> None:
        while self._open:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SECONDS):
                    await self._due.wait()
            self._due.clear()
            try:
                await self._turn()
            except Exception as error:  # database unavailable: no connection is closed, and the check is repeated
                log.warning("checking the holders of open links failed: %s", error)

    async def _turn(self) -> None:
        asked = Counter(holder for holder, _ in self._open.values())
        allowed = await self._ask(asked) if asked else set()
        for key, (holder, close) in list(self._open.items()):
            if holder in asked and holder not in allowed:
                self._open.pop(key, None)
                close()
