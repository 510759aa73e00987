"""Health questions that are under way, in a few threads. Dynos that answer slowly keep those of other apps from
nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

from greenroom.apps.queries import hostnames
from greenroom.dynos.models import Dyno
from greenroom.router.drivers.health_gate import Answer, ask

PER_APP = 2
"""Questions of one app at once: each may take ten seconds."""


class Questions:
    """In memory only, by the dyno's engine id. hands: questions at once, of all apps."""

    def __init__(self, home: Path, name: str, hands: int) -> None:
        self.home, self.hands = home, hands
        self.pool = ThreadPoolExecutor(max_workers=hands, thread_name_prefix=name)
        self.open: dict[str, tuple[UUID, Future[Answer]]] = {}

    def ask(self, dyno: Dyno) -> bool:
        """Ask the dyno, if a hand is free and its app has not got its share already."""
        if len(self.open) >= self.hands or sum(app == dyno.app_id for app, _ in self.open.values()) >= PER_APP:
            return False
        names = hostnames(dyno.app)
        future = self.pool.submit(ask, self.home / dyno.endpoint, host=names[0], path=path_of(dyno), known=names[1:])
        self.open[dyno.engine_id] = dyno.app_id, future
        return True

    def answer(self, key: str) -> Answer | None:
        """What has come, once; None while the question is open."""
        future = self.open[key][1]
        if not future.done():
            return None
        del self.open[key]
        return future.result()

    def keep(self, known: Collection[str]) -> None:
        """Forget the questions to all other dynos."""
        self.open = {key: question for key, question in self.open.items() if key in known}


def path_of(dyno: Dyno) -> str:
    """The path that its release is asked for."""
    slug = dyno.release.slug
    return (slug.settings if slug else {}).get("health_path") or "/"
