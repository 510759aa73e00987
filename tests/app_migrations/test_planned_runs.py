"""A migrate is recorded by the request and started by the worker, after its snapshot and while no rehearsal makes a
copy.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from greenroom.addons.drivers import platform_server
from greenroom.addons.models import Snapshot
from greenroom.app_migrations import loop as migrations_loop
from greenroom.app_migrations.drivers.rehearsal import COPYING
from greenroom.app_migrations.models import MigrationRun, MigrationState, Rehearsal
from greenroom.basics import clock
from greenroom.basics.errors import PlatformError, UserError
from greenroom.deliveries.actions import one_off
from greenroom.dynos import loop as dynos_loop
from greenroom.dynos.models import Dyno, PlannedStart
from greenroom.dynos.queries import unstarted
from greenroom.engine.memory import MemoryEngine
from tests.addons.conftest import database, same_server  # noqa: F401 -- fixtures
from tests.app_migrations.test_rehearsals import app_state  # noqa: F401 -- a fixture

pytestmark = pytest.mark.django_db
COMMAND = "python manage.py migrate"


@pytest.fixture
def world(app_state, alice, shop, home, monkeypatch):
    return World(app_state[0], alice, shop, home, monkeypatch)


class World:
    def __init__(self, release, actor, app, home, monkeypatch):
        self.actor, self.app, self.home, self.engine = actor, app, home, MemoryEngine()
        monkeypatch.setattr("greenroom.dynos.actions.intact", lambda *_: True)
        type(release.slug).objects.filter(pk=release.slug_id).update(is_django=True)
        MigrationState.objects.filter(release=release).update(status="ok", pending=["shop.0002"])
        self.loops = [dynos_loop.Loop(self.engine, home), migrations_loop.Loop(self.engine, home)]
        self.loops[1].watchers.see = lambda runs: None

    def migrate(self, **order):
        given = {"command": COMMAND, "size": "standard-1x", "env": {}, "attach": True, "tty": False}
        given |= {"snapshot": True, "forced": True, **order}
        return one_off.run(
            actor=self.actor, app=self.app, engine=lambda: self.engine, home=self.home, order=one_off.Order(**given)
        )

    def turn(self):
        for loop in self.loops:
            loop.turn()

    def snapshot(self, **facts):
        Snapshot.objects.update(finished_at=clock.now(), **facts)

    def runs(self):
        return [state for state in self.engine.list() if state.kind == "run"]

    def dyno(self):
        return Dyno.objects.get(kind="run")


def test_the_request_records_and_the_worker_starts_after_the_snapshot(world):
    started = world.migrate(env={"TOKEN": "secret-of-the-user", "LINES": "50"}, tty=True)
    assert (started.migration.snapshot.state, started.migration.snapshot.pinned) == ("wanted", True)
    assert b"secret-of-the-user" not in bytes(PlannedStart.objects.get().sealed)
    for state in ("wanted", "running"):
        world.snapshot(state=state)
        world.turn()
        assert world.runs() == []
        assert unstarted(started.dyno.engine_id).planned
    world.snapshot(state="succeeded")
    world.turn()
    spec = world.engine.specs[started.dyno.engine_id]
    assert (spec.env["TOKEN"], spec.attach, spec.tty, spec.rows) == ("secret-of-the-user", True, True, 50)
    assert not spec.hang_up
    assert not PlannedStart.objects.exists()
    assert unstarted(started.dyno.engine_id) == unstarted("unknown")
    world.turn()
    assert len(world.runs()) == 1


def test_a_waiting_migrate_is_never_abandoned(world):
    started = world.migrate()
    Dyno.objects.update(updated_at=clock.now() - 2 * dynos_loop.ABANDONED)
    world.turn()
    assert unstarted(started.dyno.engine_id).planned


@pytest.mark.parametrize("state", ["failed", "deleting"])
def test_a_failed_snapshot_ends_it_with_the_reason_and_the_next_may_begin(world, state):
    started = world.migrate()
    world.snapshot(state=state, failure="The disk is full." if state == "failed" else "")
    world.turn()
    dyno = world.dyno()
    assert (dyno.state, dyno.exit_code, dyno.exit_reason) == ("ended", 1, "snapshot")
    assert "nothing was migrated: " + ("The disk is full." if state == "failed" else "it was deleted") in (
        unstarted(started.dyno.engine_id).refusal
    )
    assert "--no-snapshot" in dyno.health_detail
    assert not PlannedStart.objects.exists()
    world.turn()
    assert MigrationRun.objects.get().exit_code == 1
    assert world.runs() == []
    world.migrate(snapshot=False)
    world.turn()
    assert len(world.runs()) == 1


def test_a_killed_worker_starts_it_once(world, monkeypatch):
    started = world.migrate(snapshot=False, attach=False)
    real = MemoryEngine.start

    def killed_after(self, spec):
        real(self, spec)
        raise KeyboardInterrupt

    monkeypatch.setattr(MemoryEngine, "start", killed_after)
    with pytest.raises(KeyboardInterrupt):
        world.turn()
    monkeypatch.setattr(MemoryEngine, "start", real)
    world.turn()
    world.engine.end(started.dyno.engine_id)
    world.turn()
    world.turn()
    assert (world.dyno().state, MigrationRun.objects.get().exit_code) == ("ended", 0)
    assert not PlannedStart.objects.exists()


def test_it_waits_for_a_copy_that_is_made_and_not_for_a_dead_one(world, app_state):
    row = Rehearsal.objects.create(
        app=world.app, release=app_state[0], number=9, state="running", step=COPYING, pending=[]
    )
    with platform_server.claim(row.pk):
        world.migrate(snapshot=False)
        world.turn()
        assert world.runs() == []
        MigrationRun.objects.update(created_at=clock.now() - timedelta(minutes=6))
        world.turn()
        assert len(world.runs()) == 1, "a copy that takes too long does not block it"


def test_a_dead_copy_holds_nothing_up(world, app_state):
    Rehearsal.objects.create(app=world.app, release=app_state[0], number=9, state="running", step=COPYING, pending=[])
    world.migrate(snapshot=False)
    world.turn()
    assert len(world.runs()) == 1


def test_one_that_is_stopped_while_it_waits_never_starts(world):
    started = world.migrate()
    Dyno.objects.update(state="stopping")
    world.turn()
    world.snapshot(state="succeeded")
    world.turn()
    assert world.runs() == []
    assert "was stopped before it started" in unstarted(started.dyno.engine_id).refusal
    assert (world.dyno().exit_code, world.dyno().exit_reason) == (1, "asked")


@pytest.mark.parametrize(
    ("error", "minutes", "ended"),
    [(UserError("Too large."), 0, True), (PlatformError("Down."), 0, False), (PlatformError("Down."), 8, True)],
)
def test_an_engine_that_refuses_ends_it_and_one_that_is_away_is_waited_for(world, monkeypatch, error, minutes, ended):
    def refuse(self, spec):
        raise error

    started = world.migrate(snapshot=False)
    MigrationRun.objects.update(created_at=clock.now() - timedelta(minutes=minutes))
    monkeypatch.setattr(MemoryEngine, "start", refuse)
    world.turn()
    assert (world.dyno().state == "ended") is ended
    refusal = unstarted(started.dyno.engine_id).refusal
    assert (f"could not be started: {error.message}" in refusal) is ended


@pytest.mark.parametrize(("minutes", "ended"), [(59, False), (61, True)])
def test_a_snapshot_that_never_ends_is_not_waited_for_without_end(world, minutes, ended):
    started = world.migrate()
    world.snapshot(state="running")
    MigrationRun.objects.update(created_at=clock.now() - timedelta(minutes=minutes))
    world.turn()
    assert ("it takes too long" in unstarted(started.dyno.engine_id).refusal) is ended
