"""The health gate's turn: asks each web dyno that has bound its port, in a few threads, until it answers or its time is up."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from greenroom.app_migrations import actions as migration_actions
from greenroom.app_migrations import queries as migrations
from greenroom.apps.queries import hostnames
from greenroom.basics import clock
from greenroom.dynos import actions, queries
from greenroom.dynos.models import Dyno
from greenroom.dynos.specs import socket_of
from greenroom.engine.contract import Engine
from greenroom.logs.actions import say
from greenroom.router.health import Answer, ask

PATIENCE = 30.0
AGAIN = 0.25


class HealthGate:
    """Keeps what is being asked in memory only: after a restart the same dynos are asked anew."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.home = home
        self.pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="health")
        self.asking: dict[str, Future[Answer]] = {}
        self.asked: dict[str, Future[tuple[int, Answer]]] = {}
        self.first: dict[str, float] = {}
        self.next: dict[str, float] = {}

    def turn(self) -> bool:
        """Ask, and record what came. True while a dyno waits for its answer."""
        self._after_migrations()
        waiting = queries.unanswered()
        for dyno in waiting:
            self._one(dyno)
        known = {dyno.engine_id for dyno in waiting}
        for table in (self.asking, self.first, self.next):
            for key in set(table) - known:
                del table[key]
        return bool(waiting)

    def _after_migrations(self) -> None:
        """Ask the live release after each migrate of a human, and keep how it answered."""
        for run in migrations.unasked_runs():
            key = f"after {run.pk}"
            future = self.asked.get(key)
            if future is not None and future.done():
                del self.asked[key]
                version, answer = future.result()
                migration_actions.note_health(run=run, text=f"v{version}: {answer.detail}")
            elif future is None:
                rollout = queries.live(run.app)
                up = [one for one in queries.of_rollout(rollout) if one.kind == "web" and one.state == "up"] if rollout else []
                dyno = up[0] if up else None
                if dyno is None:
                    migration_actions.note_health(run=run, text="no web dyno was running")
                else:
                    self.asked[key] = self.pool.submit(self._ask, dyno.release.version, self.home / socket_of(dyno), hostnames(run.app)[0], _path(dyno))

    @staticmethod
    def _ask(version: int, socket: Path, host: str, path: str) -> tuple[int, Answer]:
        return version, ask(socket, host=host, path=path)

    def _one(self, dyno: Dyno) -> None:
        key = dyno.engine_id
        future = self.asking.get(key)
        if future is not None:
            if future.done():
                del self.asking[key]
                self._heard(dyno, future.result())
            return
        seen = self.engine.describe(key)
        if seen is None or not seen.listening or clock.monotonic() < self.next.get(key, 0.0):
            return
        self.first.setdefault(key, clock.monotonic())
        self.asking[key] = self.pool.submit(ask, self.home / socket_of(dyno), host=hostnames(dyno.app)[0], path=_path(dyno))

    def _heard(self, dyno: Dyno, answer: Answer) -> None:
        key = dyno.engine_id
        if answer.healthy:
            actions.mark(dyno=dyno, state="up", healthy=True, health_detail=answer.detail)
            say(app=dyno.app, home=self.home, process=dyno.name, text=f"Health check passed: {answer.detail}")
            return
        if clock.monotonic() - self.first[key] > _patience(dyno):
            detail = f"is not healthy: {answer.detail}, for {_patience(dyno):.0f} s"
            say(app=dyno.app, home=self.home, process=dyno.name, text=f"Health check failed: {answer.detail}")
            actions.mark(dyno=dyno, state="stopping", health_detail=detail, exit_reason="unhealthy")
            self.engine.signal(key, "STOP")
            return
        self.next[key] = clock.monotonic() + AGAIN
        if dyno.health_detail != answer.detail:
            actions.mark(dyno=dyno, state="starting", health_detail=answer.detail)


def _path(dyno: Dyno) -> str:
    return _settings(dyno).get("health_path") or "/"


def _settings(dyno: Dyno) -> dict:
    return dyno.release.slug.settings if dyno.release.slug else {}


def _patience(dyno: Dyno) -> float:
    policy = _settings(dyno).get("policy") or {}
    return float(policy.get("health_timeout") or os.environ.get("GREENROOM_HEALTH_SECONDS") or PATIENCE)
