"""A dyno that the engine has lost may still run: nothing that could run twice is started, and no data that it may write
is replaced.
"""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from greenroom.addons.models import Addon, Restore, Snapshot
from greenroom.app_migrations import actions as migrations
from greenroom.app_migrations.drivers import rehearsal
from greenroom.app_migrations.models import MigrationState
from greenroom.basics.errors import ConflictError, PlatformError
from greenroom.buildpacks.rules.release_commands import ReleaseCommand
from greenroom.builds.drivers import test_environments
from greenroom.builds.models import Build
from greenroom.builds.steps.part import Part
from greenroom.config_vars.actions import write
from greenroom.deliveries.actions import addon_data
from greenroom.deliveries.steps.release_commands import Commands
from greenroom.dynos import loop
from greenroom.dynos.models import Dyno, Formation, Rollout
from greenroom.engine.contract import DynoSpec
from greenroom.engine.memory import SERVES, MemoryEngine
from greenroom.releases.actions import release
from greenroom.slugs.models import Slug

pytestmark = pytest.mark.django_db


@pytest.fixture
def engine():
    """Its dynos run until they are stopped or lost."""
    return MemoryEngine(lambda spec: SERVES)


@pytest.fixture
def live(alice, shop, home):
    """A live release with one worker in its formation."""
    config = write(app=shop, home=home, values={}, actor=alice)
    slug = Slug.objects.create(
        app=shop, digest="d" * 64, commit="a" * 40, env_key="e", process_types={"worker": "work"}, settings={}
    )
    row = release(actor=alice, app=shop, kind="config", description="x", slug=slug, config=config)
    Rollout.objects.create(app=shop, release=row, state="live")
    Formation.objects.create(app=shop, type="worker", quantity=1)
    return row


def spec(name: str, kind: str = "worker") -> DynoSpec:
    return DynoSpec(id=name, kind=kind, owner="x", uid=1, process=f"{kind}.1", command=("x",))


def dyno_of(row, engine, *, kind: str = "worker", command: str = "work", state: str = "up") -> Dyno:
    """A dyno that the engine runs."""
    facts = {"kind": kind, "type": kind, "ordinal": 1, "command": command, "state": state}
    made = Dyno.objects.create(app=row.app, release=row, engine_id=f"shop-{kind}", **facts)
    engine.start(spec(made.engine_id, kind))
    return made


def test_a_dyno_of_the_formation_is_replaced_only_when_it_has_certainly_ended(live, home, engine):
    dyno, turning = dyno_of(live, engine), loop.Loop(engine, home)
    engine.lose(dyno.engine_id, certain=False)
    for _ in range(3):
        turning.turn()
    assert Dyno.objects.get().state == "up"
    assert list(engine.specs) == [dyno.engine_id]
    engine.lose(dyno.engine_id, certain=True)
    turning.turn()
    dyno.refresh_from_db()
    assert dyno.state == "ended"
    assert Dyno.objects.exclude(pk=dyno.pk).count() == 1


def test_a_dyno_that_a_user_stopped_has_not_ended_before_that_is_certain(live, home, engine):
    dyno = dyno_of(live, engine, kind="run", state="stopping")
    turning = loop.Loop(engine, home)
    engine.lose(dyno.engine_id, certain=False)
    turning.turn()
    assert Dyno.objects.get(pk=dyno.pk).state == "stopping"
    engine.lose(dyno.engine_id)
    turning.turn()
    assert Dyno.objects.get(pk=dyno.pk).state == "ended"


def test_a_release_command_is_not_repeated(world, engine, monkeypatch):
    row = world.push(process_types={"web": "serve", "release": "echo hello"})
    world.run(row, until="releasing")
    row = world.read(row)
    monkeypatch.setattr("greenroom.deliveries.steps.release_commands.intact", lambda *_: True)
    commands, command = Commands(engine, world.home), ReleaseCommand("release", "echo hello", "Procfile")
    assert commands.advance(row, command, lambda text: None) is None
    (name,) = engine.specs
    engine.lose(name, certain=False)
    assert [commands.advance(row, command, lambda text: None) for _ in range(3)] == [None] * 3
    assert (list(engine.specs), world.read(row).commands.get("attempt", 0)) == ([name], 0)
    engine.lose(name)
    assert [commands.advance(world.read(row), command, lambda text: None) for _ in range(2)] == [None, None]
    assert len(engine.specs) == 2


def test_a_part_of_a_build_is_not_repeated(shop, home, engine):
    build = Build.objects.create(app=shop, commit="a" * 40, status="pending", phase="compile")
    part = Part(build, engine, home, lambda text: None, {})
    assert part.watch("compile", lambda name: spec(name, "build")) is None
    (name,) = engine.specs
    engine.lose(name, certain=False)
    assert [part.watch("compile", lambda name: spec(name, "build")) for _ in range(3)] == [None] * 3
    assert (list(engine.specs), build.facts.get("lost", 0)) == ([name], 0)
    engine.lose(name)
    assert [part.watch("compile", lambda name: spec(name, "build")) for _ in range(2)] == [None, None]
    assert list(engine.specs) == [name, f"{name}-1"]


def test_an_installation_of_test_requirements_is_waited_for(engine):
    engine.start(spec("overlay-1", "install"))
    engine.lose("overlay-1", certain=False)
    asked = SimpleNamespace(manifest={})
    assert test_environments._watch(asked, None, "e-1", engine, Path(), lambda text: None) is None
    assert list(engine.specs) == ["overlay-1"]


def test_a_probe_is_neither_read_nor_repeated(live, home, engine):
    state = MigrationState.objects.create(app=live.app, release=live, framework="django", probe="probe-1", probes=1)
    engine.start(spec("probe-1", "probe"))
    engine.lose("probe-1", certain=False)
    migrations.advance_probe(state=state, engine=engine, home=home)
    state.refresh_from_db()
    assert (state.status, state.probe, list(engine.specs)) == ("unknown", "probe-1", ["probe-1"])
    assert engine.describe("probe-1"), "it is not forgotten"
    engine.lose("probe-1")
    migrations.advance_probe(state=state, engine=engine, home=home)
    state.refresh_from_db()
    assert (state.status, engine.describe("probe-1")) == ("error", None)


@pytest.fixture
def migrating(alice, live, engine, monkeypatch):
    """A user's migrate command that the engine runs, and the add-on with a snapshot."""
    monkeypatch.setattr(migrations, "ENDING_SECONDS", 0.15)
    addon = Addon.objects.create(
        app=live.app, kind="postgres", name="shop-db", state="provisioned", data={"database": "d1", "role": "u1"}
    )
    dyno = dyno_of(live, engine, kind="run", command="python manage.py migrate")
    migrations.begin_run(actor=alice, dyno=dyno)
    saved = Snapshot.objects.create(addon=addon, number=1, kind="manual", state="succeeded", file="snapshots/x.dump")
    return addon, dyno, saved


def replacements(alice, addon, saved, engine):
    """Each way to replace the add-on's data."""
    other = Addon.objects.create(app=addon.app, kind="postgres", name="other-db", state="provisioned", data={})
    return (
        lambda: addon_data.restore(actor=alice, addon=addon, snapshot=saved, engine=engine),
        lambda: addon_data.reset(actor=alice, addon=addon, engine=engine, seconds=0),
        lambda: addon_data.copy(actor=alice, source=other, target=addon, engine=engine),
    )


def test_the_data_of_a_migrate_that_may_still_run_is_not_replaced(alice, migrating, engine, home):
    addon, dyno, saved = migrating
    engine.lose(dyno.engine_id, certain=False)
    for replace in replacements(alice, addon, saved, engine):
        with pytest.raises(ConflictError, match="Migrations of shop are running"):
            replace()
    with pytest.raises(ConflictError, match="is migrating shop now"):
        migrations.refuse_clash(app=addon.app, command="python manage.py migrate", engine=engine)
    assert not Restore.objects.exists()
    engine.lose(dyno.engine_id)
    assert addon_data.restore(actor=alice, addon=addon, snapshot=saved, engine=engine).state == "wanted"


def test_a_rehearsal_waits_until_its_own_end_for_a_dyno_that_may_still_run(engine, monkeypatch):
    run = SimpleNamespace(engine=engine, until=time.monotonic() + 0.5)
    engine.start(spec("rehearse-1"))
    engine.lose("rehearse-1", certain=False)
    with pytest.raises(PlatformError, match="may still run"):
        rehearsal.Run._through(run, spec("rehearse-1"))
    assert time.monotonic() > run.until
    assert list(engine.specs) == ["rehearse-1"]
