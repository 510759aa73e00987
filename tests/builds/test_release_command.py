"""The release command in a real dyno: the new slug, the release's config vars, no port. Its exit status decides."""

from __future__ import annotations

import time

import pytest

from greenroom.config_vars import actions as config_vars
from greenroom.engine.contract import Capacity
from greenroom.releases import actions
from greenroom.releases.queries import release_commands
from greenroom.releases.rules import COMMAND_SECONDS, command_end
from tests.builds.hosting import BASE, SIX, pip_files

pytestmark = pytest.mark.django_db(transaction=True)
PROCFILE = (
    "web: python app.py\nrelease: python -c \"import os, six; print(os.environ['NAME'], os.environ.get('PORT'),"
    ' six.__version__)"\n'
)


def release(workshop, alice, files):
    build = workshop.built({**BASE, **pip_files(SIX), **files})
    config = config_vars.write(app=workshop.app, home=workshop.home, values={"NAME": "shop"}, actor=alice)
    return actions.release(
        actor=alice, app=workshop.app, kind="deploy", description="Deploy", slug=build.slug, config=config
    )


def end(workshop, spec, command):
    engine = workshop.machine.engine
    state = engine.start(spec)
    while state.phase not in ("exited", "lost"):
        time.sleep(0.05)
        state = engine.describe(spec.id)
    text = workshop.machine.engine.output(spec.id, 0, limit=10_000_000).data.decode()
    return (
        command_end(
            phase=state.phase, exit_code=state.exit_code, reason=state.reason, memory_mb=512, kind=command.kind
        ),
        text,
    )


@pytest.mark.rule("13.2")
def test_the_release_command_runs_with_the_new_slug_and_its_config_vars(workshop, alice):
    row = release(workshop, alice, {"Procfile": PROCFILE})
    (command,) = release_commands.of_release(row)
    spec = release_commands.spec(release=row, command=command, home=workshop.home, capacity=Capacity(cores=8))
    assert (spec.limits.timeout, spec.kind, spec.port) == (COMMAND_SECONDS, "release", 0)
    found, text = end(workshop, spec, command)
    assert found.kind == "ok", text
    assert text == "shop None 1.16.0\n"


@pytest.mark.rule("13.2")
def test_a_release_command_that_fails_says_so(workshop, alice):
    row = release(workshop, alice, {"Procfile": "release: exit 3\n"})
    (command,) = release_commands.of_release(row)
    found, _ = end(
        workshop,
        release_commands.spec(release=row, command=command, home=workshop.home, capacity=Capacity(cores=8)),
        command,
    )
    assert (found.kind, found.message) == ("failed", "The release command ended with exit code 3.")


@pytest.mark.rule("14.2")
def test_only_the_first_deployment_has_a_postdeploy_script(workshop, alice):
    files = {"app.json": '{"scripts": {"postdeploy": "echo once"}}'}
    first = release(workshop, alice, files)
    assert [command.text for command in release_commands.of_release(first)] == ["echo once"]
    actions.conclude(release=first, status="failed")
    assert len(release_commands.of_release(release(workshop, alice, files))) == 1
    actions.conclude(release=release(workshop, alice, files), status="succeeded")
    assert release_commands.of_release(release(workshop, alice, files)) == ()
