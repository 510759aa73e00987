"""Fixtures for tests of jobs: a live app, the loop with the engine double, and a clock that can be moved."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from django.db import transaction

from greenroom.basics import clock
from greenroom.dynos import actions as dynos
from greenroom.dynos import loop as dyno_loop
from greenroom.engine.contract import DynoSpec
from greenroom.engine.memory import SERVES, MemoryEngine, Outcome
from greenroom.jobs import actions, loop
from greenroom.jobs.models import Job, JobRun
from tests.deliveries.conftest import world  # noqa: F401
from tests.deliveries.world import World

RUNS = Outcome()
"""A dyno that runs until it is signalled."""


@dataclass
class Jobs:
    """The app ``shop`` of a world with a live release, and the two loops of the worker that jobs need."""

    world: World
    now: datetime
    outcome: Outcome = field(default_factory=lambda: Outcome(exit_code=0))

    def __post_init__(self) -> None:
        self.app, self.alice, self.home = self.world.app, self.world.alice, self.world.home
        self.engine = MemoryEngine(lambda spec: self.outcome if spec.kind == "run" else SERVES)
        self.restart_worker()

    def restart_worker(self) -> None:
        """New loops, as after kill -9: everything that is only in memory is lost."""
        self.loop = loop.Loop(self.engine, self.home)
        self.dynos = dyno_loop.Loop(self.engine, self.home)

    def add(self, name: str = "nightly", schedule: str = "* * * * *", **given: object) -> Job:
        words = {"schedule": schedule, "command": "python manage.py clearsessions", **given}
        return actions.add(actor=self.alice, app=self.app, name=name, given=words)

    def go(self, **span: float) -> None:
        """Move the clock, and let the worker do all that is due."""
        self.now += timedelta(**span)
        self.turn()

    def turn(self, times: int = 3) -> None:
        for _ in range(times):
            self.loop.turn()
            self.dynos.turn()

    def runs(self, name: str = "nightly") -> list[tuple[str, str]]:
        """(state, reason) of the job's runs, oldest first."""
        rows = JobRun.objects.filter(job__name=name).order_by("number")
        return [(row.state, row.reason) for row in rows]

    def specs(self) -> list[DynoSpec]:
        """The started dynos of jobs."""
        return [spec for spec in self.engine.specs.values() if spec.process.startswith("scheduler.")]

    def run(self) -> JobRun:
        return JobRun.objects.latest("number")

    def end(self, run: JobRun) -> None:
        """End the run's dyno with exit code 0."""
        assert run.dyno is not None
        self.engine.end(run.dyno.engine_id)


@pytest.fixture
def jobs(world, monkeypatch) -> Jobs:
    monkeypatch.setattr(dynos, "intact", lambda *_: True)
    monkeypatch.setattr(transaction, "on_commit", lambda call, **_: call())  # the test is one transaction
    world.live()
    now = clock.now().replace(second=30, microsecond=0)
    made = Jobs(world, now)
    monkeypatch.setattr(clock, "now", lambda: made.now)
    return made
