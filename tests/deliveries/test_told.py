"""Tests of checks and of a release command's output, in the API and in the CLI."""

from __future__ import annotations

import pytest

from greenroom.buildpacks.rules.release_commands import ReleaseCommand
from greenroom.checks.models import CheckRun, Verdict
from greenroom.deliveries import queries
from greenroom.deliveries.steps.release_commands import Commands
from greenroom.engine.memory import MemoryEngine, Outcome
from tests.api.world import client_of

pytestmark = pytest.mark.django_db


def test_required_is_what_the_gate_requires_whoever_names_it_and_however_it_is_spelt(world):
    row = world.push(settings={"required_checks": ["ci/build"]})
    world.app.required_checks = ["Docs/Links"]
    world.app.save()
    client = client_of(world.alice)

    for name in ("CI/Build", "docs/links", "other"):
        CheckRun.objects.create(app=world.app, sha=row.sha, name=name, status="queued", number=world.number())
    wanted = {"tests": True, "scan": True, "CI/Build": True, "docs/links": True, "other": False}
    shown = client.get(f"/apps/shop/deliveries/{row.sha}").json()["checks"]
    assert {check["name"]: check["required"] for check in shown} == wanted
    assert queries.required_of(world.app, row.sha) == {"tests", "scan", "ci/build", "docs/links"}


def test_a_rehearsal_that_is_required_is_shown_so_although_the_gate_does_not_wait_for_it(world):
    row = world.push()
    world.app.required_checks = ["Rehearsal"]
    world.app.save()
    CheckRun.objects.create(
        app=world.app, sha=row.sha, name="rehearsal", status="completed", conclusion="failure", number=world.number()
    )
    shown = client_of(world.alice).get(f"/apps/shop/deliveries/{row.sha}").json()["checks"]
    assert {check["name"]: check["required"] for check in shown} == {"tests": True, "scan": True, "rehearsal": True}
    assert queries.required_checks(world.app, None) == ("tests", "scan")


def test_after_a_failed_build_no_check_waits(world):
    row = world.push()
    row.build.slug, row.build.status, row.build.failure_message = None, "failed", "no requirements"
    row.build.save()

    CheckRun.objects.filter(sha=row.sha).update(status="queued", conclusion="")
    Verdict.objects.filter(sha=row.sha).update(colour="pending", reasons=["`tests` is waiting to run."])
    assert world.run(row).state == "failed"
    verdict = client_of(world.alice).get(f"/apps/shop/deliveries/{row.sha}").json()["verdict"]
    assert verdict["colour"] == "blocked"
    assert "waiting" not in str(verdict)
    assert "is running" not in str(verdict)


def test_the_output_of_a_release_is_that_of_its_release_command_alone(world, monkeypatch):
    row = world.push(process_types={"web": "serve", "release": "echo hello"})
    world.run(row, until="releasing")
    row = world.read(row)
    engine = MemoryEngine(lambda spec: Outcome(exit_code=0, output=b"preparing\nready\n"))
    monkeypatch.setattr("greenroom.deliveries.steps.release_commands.intact", lambda *_: True)
    hands, said = Commands(engine, world.home), []
    command = ReleaseCommand(kind="release", text="echo hello", origin="Procfile")
    assert hands.advance(row, command, said.append) is None
    assert hands.advance(row, command, said.append).kind == "ok"
    file = world.home / row.release.output
    assert file.read_text() == "preparing\nready\n"
    assert file.with_name(file.name + ".done").exists()
    assert "       preparing\n       ready" in said


def test_a_release_that_was_refused_before_its_command_leaves_nobody_waiting_for_output(world):
    row = world.run(
        world.push(process_types={"web": "serve", "release": "x"}, app_json={"env": {"FOO": {"required": True}}})
    )
    assert row.state == "refused"
    assert (world.home / f"{row.release.output}.done").exists()
    assert client_of(world.alice).get(f"/apps/shop/releases/{row.release.version}").json()["output_stream_url"] is None
