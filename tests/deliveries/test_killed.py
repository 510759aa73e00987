"""A worker that is killed between two steps of an outcome loses nothing and does nothing twice."""

from __future__ import annotations

import pytest

from greenroom.deliveries import actions
from greenroom.deliveries.actions import rollbacks
from greenroom.deliveries.steps.outcomes import Outcomes
from greenroom.engine.memory import FAILS
from greenroom.releases import actions as releases
from greenroom.releases.models import Release

pytestmark = pytest.mark.django_db
RELEASE = {"process_types": {"web": "serve", "release": "sync-plans"}}
POSTDEPLOY = {"app_json": {"scripts": {"postdeploy": "load-demo"}}}


class KilledError(BaseException):
    """Simulates kill -9: nothing after it is executed."""


@pytest.fixture
def dies(monkeypatch):
    """Kill the worker at the first call of a function."""

    def arm(place, name):
        real, left = getattr(place, name), [1]

        def step(*args, **kwargs):
            if left and left.pop():
                raise KilledError
            return real(*args, **kwargs)

        monkeypatch.setattr(place, name, step)

    return arm


@pytest.fixture
def engine(world, monkeypatch):
    """The engine double, with the ids of all started dynos in ``started``."""
    monkeypatch.setattr("greenroom.deliveries.steps.release_commands.intact", lambda *_: True)
    it, it.started = world.steps.engine, []
    start = it.start
    monkeypatch.setattr(it, "start", lambda spec: (it.started.append(spec.id), start(spec))[1])
    return it


def killed_once(world, row):
    with pytest.raises(KilledError):
        world.run(row)
    return world.run(row)


@pytest.mark.parametrize("words", [RELEASE, POSTDEPLOY], ids=["release command", "postdeploy script"])
@pytest.mark.parametrize("place", ["before its row", "before it is forgotten"])
def test_a_command_is_run_once_and_leaves_nothing_with_the_engine(world, engine, dies, words, place):
    dies(*((actions, "note_command") if place == "before its row" else (engine, "forget")))
    row = killed_once(world, world.push(**words))
    assert (row.state, len(engine.started), engine.list()) == ("live", 1, [])


def test_a_release_command_that_failed_is_what_the_release_failed_of(world, engine, dies):
    engine.script = lambda spec: FAILS
    dies(releases, "conclude")
    row = killed_once(world, world.push(**RELEASE))
    assert (row.state, len(engine.started)) == ("failed", 1)
    assert "The release command ended with exit code 1" in Release.objects.get(pk=row.release_id).reason


@pytest.mark.parametrize(("place", "name"), [(releases, "conclude"), (actions.apps, "change_settings")])
def test_a_rollback_that_serves_has_succeeded_and_has_its_pause(world, dies, place, name):
    world.live()
    world.live()
    made, _ = rollbacks.roll_back(actor=world.alice, app=world.app, home=world.home)
    dies(place, name)
    row = killed_once(world, world.delivery_of(made))
    world.app.refresh_from_db()
    assert (row.state, row.release.status) == ("live", "succeeded")
    assert world.app.deploy_paused.startswith("Rollback to")


@pytest.mark.parametrize("name", ["once", "end"])
def test_a_refused_release_is_refused_and_not_failed(world, dies, name):
    dies(Outcomes, name)
    row = killed_once(world, world.push(app_json={"env": {"FOO": {"required": True}}}))
    assert (row.state, row.release.status) == ("refused", "refused")
    assert world.said(row).count("-----> Refused") == 1
