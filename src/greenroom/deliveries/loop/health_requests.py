"""Pending health requests in a small thread pool. Slow dynos do not delay those of other apps."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

from greenroom.apps.queries import hostnames
from greenroom.dynos.models import Dyno
from greenroom.router.drivers.health_gate import Answer, ask

PER_APP = 2
"""Concurrent requests per app: each may take ten seconds."""


class Questions:
    """Pending requests by engine id, in memory only. hands: concurrent requests, of all apps."""

    def __init__(self, home: Path, name: str, hands: int) -> None:
        self.home, self.hands = home, hands
        self.pool = ThreadPoolExecutor(max_workers=hands, thread_name_prefix=name)
        self.open: dict[str, tuple[UUID, Future[Answer]]] = {}

    def ask(self, dyno: Dyno) -> bool:
        """Start a request, unless the pool is full or the app has reached its limit."""
        if len(self.open) >= self.hands or sum(app == dyno.app_id for app, _ in self.open.values()) >= PER_APP:
            return False
        names = hostnames(dyno.app)
        future = self.pool.submit(ask, self.home / dyno.endpoint, host=names[0], path=path_of(dyno), known=names[1:])
        self.open[dyno.engine_id] = dyno.app_id, future
        return True

    def answer(self, key: str) -> Answer | None:
        """Return the answer once; None while the request is pending."""
        future = self.open[key][1]
        if not future.done():
            return None
        del self.open[key]
        return future.result()

    def keep(self, known: Collection[str]) -> None:
        """Discard the requests to all other dynos."""
        self.open = {key: question for key, question in self.open.items() if key in known}


def path_of(dyno: Dyno) -> str:
    """The health path of the dyno's release."""
    slug = dyno.release.slug
    return (slug.settings if slug else {}).get("health_path") or "/"
