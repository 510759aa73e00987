"""The health gate: requests the health path of each web dyno that has bound its port, until it answers or times out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from greenroom.app_migrations import actions as migration_actions
from greenroom.app_migrations import queries as migrations
from greenroom.app_migrations.models import MigrationRun
from greenroom.apps.queries import hostnames
from greenroom.basics import clock
from greenroom.basics.guard import Guard
from greenroom.deliveries.loop.health_requests import Questions, path_of
from greenroom.deliveries.queries.time_limits import health_seconds
from greenroom.dynos import actions, queries
from greenroom.dynos.models import Dyno
from greenroom.engine.contract import Engine
from greenroom.logs.actions import say
from greenroom.router.drivers.health_gate import Answer, ask

log = logging.getLogger(__name__)
AGAIN = 0.25
HANDS = 12
"""Concurrent requests, of all apps."""


class HealthGate:
    """Keeps pending requests in memory only: after a restart the same dynos are requested again."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.home = home
        self.questions = Questions(home, "health", HANDS)
        self.guard = Guard(log)
        self.asked: dict[str, Future[tuple[int, Answer]]] = {}
        self.first: dict[str, float] = {}
        self.next: dict[str, float] = {}

    def turn(self) -> bool:
        """Send requests and record the answers. True while a dyno has not answered yet."""
        for run in migrations.unasked_runs():
            self.guard.run(
                run.pk, f"the health check after a migrate of {run.app.name}", partial(self._after_migrate, run)
            )
        waiting = queries.unanswered()
        for dyno in waiting:
            self.guard.run(dyno.engine_id, f"the health check of {dyno.engine_id}", partial(self._one, dyno))
        known = {dyno.engine_id for dyno in waiting}
        self.questions.keep(known)
        for table in (self.first, self.next):
            for key in set(table) - known:
                del table[key]
        return bool(waiting)

    def _after_migrate(self, run: MigrationRun) -> None:
        """Request the live release's health path after a user's migrate, and store the result."""
        key = f"after {run.pk}"
        future = self.asked.get(key)
        if future is not None and future.done():
            del self.asked[key]
            version, answer = future.result()
            migration_actions.note_health(run=run, text=f"v{version}: {answer.detail}")
        elif future is None:
            rollout = queries.live(run.app)
            up = (
                [one for one in queries.of_rollout(rollout) if one.kind == "web" and one.state == "up"]
                if rollout
                else []
            )
            dyno = up[0] if up else None
            if dyno is None:
                migration_actions.note_health(run=run, text="no web dyno was running")
            else:
                words = (dyno.release.version, self.home / dyno.endpoint, hostnames(run.app), path_of(dyno))
                self.asked[key] = self.questions.pool.submit(self._ask, *words)

    @staticmethod
    def _ask(version: int, socket: Path, names: Sequence[str], path: str) -> tuple[int, Answer]:
        return version, ask(socket, host=names[0], path=path, known=names[1:])

    def _one(self, dyno: Dyno) -> None:
        key = dyno.engine_id
        if key in self.questions.open:
            if answer := self.questions.answer(key):
                self._heard(dyno, answer)
            return
        seen = self.engine.describe(key)
        if seen is None or not seen.listening or clock.monotonic() < self.next.get(key, 0.0):
            return
        if self.questions.ask(dyno):
            self.first.setdefault(
                key, clock.monotonic()
            )  # counts from its first request: time in the queue does not count

    def _heard(self, dyno: Dyno, answer: Answer) -> None:
        key = dyno.engine_id
        if answer.healthy:
            actions.mark(dyno=dyno, state="up", healthy=True, health_detail=answer.detail, https=answer.https)
            say(app=dyno.app, home=self.home, process=dyno.name, text=f"Health check passed: {answer.detail}")
            return
        if clock.monotonic() - self.first[key] > _patience(dyno):
            hint = f"\nhint: {answer.remedy}" if answer.remedy else ""
            detail = f"is not healthy: {answer.detail}, for {_patience(dyno):.0f} s{hint}"
            say(app=dyno.app, home=self.home, process=dyno.name, text=f"Health check failed: {answer.text}")
            actions.mark(dyno=dyno, state="stopping", health_detail=detail, exit_reason="unhealthy")
            self.engine.signal(key, "STOP")
            return
        self.next[key] = clock.monotonic() + AGAIN
        if dyno.health_detail != answer.detail:
            actions.mark(dyno=dyno, state="starting", health_detail=answer.detail)


def _patience(dyno: Dyno) -> float:
    return health_seconds(dyno.release.slug.settings if dyno.release.slug else {})
