"""Egress rules on their way to the dynos: a change is a release, and every dyno with the app's code gets the rules."""

from __future__ import annotations

import pytest

from greenroom.apps import queries as apps
from greenroom.apps.models import App
from greenroom.buildpacks.rules.python_versions import Interpreter
from greenroom.buildpacks.rules.release_commands import ReleaseCommand
from greenroom.builds.drivers import dyno_specs as build_dynos
from greenroom.builds.models import Build
from greenroom.builds.steps.part import Part
from greenroom.checks import actions as checks
from greenroom.checks.builtin import testing
from greenroom.deliveries import actions
from greenroom.deliveries.actions import rollbacks
from greenroom.dynos.models import Dyno
from greenroom.dynos.queries import dyno_specs
from greenroom.dynos.rules import SCHEDULER, StartOptions
from greenroom.engine.contract import Capacity
from greenroom.engine.memory import SERVES, MemoryEngine
from greenroom.releases.queries import release_commands

pytestmark = pytest.mark.django_db
TARGETS = (("10.2.0.0/16", 0), ("api.example.org", 443))
PYTHON = Interpreter((3, 11), "/usr/bin/python3", "")


def change(world, policy=None, allow=(), remove=()):
    return actions.change_egress(
        actor=world.alice, app=world.app, home=world.home, policy=policy, allow=allow, remove=remove
    )


@pytest.fixture
def closed(world):
    world.live()
    release = change(world, "closed", ["api.example.org:443", "10.2.0.0/16"])
    world.run(world.delivery_of(release))
    return world


def test_a_change_that_dynos_notice_releases_the_code_that_serves(world):
    push = world.live()
    release = change(world, "closed", ["api.example.org:443"])
    assert (release.kind, release.slug.commit) == ("config", push.sha)
    assert release.description == "Close egress; Allow egress to api.example.org:443"
    assert world.run(world.delivery_of(release)).state == "live"


def test_a_change_that_does_not_start_leaves_the_dynos_with_the_former_rules_and_is_kept(world):
    push = world.live()
    world.run(world.delivery_of(change(world, "closed")), dies="exited with status 1")
    assert world.serving() == push.sha
    assert apps.allowed_targets(world.app) == ()


def test_a_rollback_opens_nothing(closed):
    world = closed
    world.run(world.push())
    row, _ = rollbacks.roll_back(actor=world.alice, app=world.app, home=world.home)
    world.run(world.delivery_of(row))
    assert apps.allowed_targets(world.app) == TARGETS


@pytest.mark.parametrize("kind", ["web", "worker", "run", "probe", "rehearsal", SCHEDULER])
def test_each_dyno_of_the_app_has_the_rules(closed, kind):
    release = closed.delivery_of(change(closed, allow=["a.org"])).release
    dyno = Dyno(app=closed.app, release=release, kind=kind, type=kind, ordinal=1, command="x", engine_id="x")
    spec = dyno_specs.spec(dyno=dyno, home=closed.home, capacity=Capacity(), options=StartOptions())
    assert (spec.egress, spec.allowed) == (True, (TARGETS[0], ("a.org", 0), TARGETS[1]))
    change(closed, "open")
    spec = dyno_specs.spec(dyno=dyno, home=closed.home, capacity=Capacity(), options=StartOptions())
    assert (spec.egress, spec.allowed) == (True, None)


def test_release_commands_have_the_rules(closed):
    release = closed.delivery_of(change(closed, remove=["10.2.0.0/16"])).release
    command = ReleaseCommand("release", "x", "Procfile")
    spec = release_commands.spec(release=release, command=command, home=closed.home, capacity=Capacity())
    assert spec.allowed == (TARGETS[1],)


def test_tests_have_the_rules(closed, monkeypatch):
    slug = closed.live().release.slug
    App.objects.filter(pk=closed.app.pk).update(bare=True)
    run = checks.begin(app=closed.app, sha=slug.commit, names=["tests"])[0]
    monkeypatch.setattr(testing.tools, "runner_mount", lambda home: testing.tools.out_mount())
    spec = testing.spec(run=run, slug=slug, mounts=(), home=closed.home, capacity=Capacity())
    assert (spec.kind, spec.allowed) == ("test", TARGETS)


def test_hooks_and_scripts_of_a_build_have_the_rules_and_say_so(closed):
    build = Build.objects.create(app=closed.app, commit="a" * 40, status="pending", phase="compile")
    said: list[str] = []
    engine = MemoryEngine(lambda spec: SERVES)
    Part(build, engine, closed.home, said.append, {}).watch("compile", lambda name: compiling(closed, name))
    assert [spec.allowed for spec in engine.specs.values()] == [TARGETS]
    assert said == [
        "-----> Egress is closed: hooks and scripts reach only the allowed targets (greenroom egress -a shop)"
    ]


def compiling(world, name):
    return build_dynos.compile_spec(
        dyno_id=name,
        app=world.app,
        commit="a" * 40,
        python=PYTHON,
        home=world.home,
        job={},
        source=f"source:{'a' * 40}",
        env="",
        config={},
    )


def test_packages_of_python_are_installed_without_rules(closed):
    spec = build_dynos.install_spec(
        dyno_id="install-1", app=closed.app, python=PYTHON, home=closed.home, job={}, index={}
    )
    assert (spec.egress, spec.allowed, spec.forwards, spec.env.get("DATABASE_URL")) == (True, None, (), None)
