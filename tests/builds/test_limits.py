"""A build ends when it is cancelled, times out or uses too much memory. The next build succeeds."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from django.test import Client

from greenroom.accounts import actions as accounts
from greenroom.accounts.models import Account, AuditEntry
from greenroom.basics.errors import ConflictError
from greenroom.buildpacks.rules import plan
from greenroom.builds import actions
from greenroom.builds.drivers import dyno_specs, leftovers
from greenroom.entrypoints.api.drivers import use_engine
from greenroom_cli.host import storage
from tests.builds.hosting import BASE, SIX, pip_files

pytestmark = pytest.mark.django_db(transaction=True)
SLOW = {**BASE, **pip_files(SIX), "bin/pre_compile": "#!/bin/sh\necho begun\nsleep 60\n"}


def until_it_runs(workshop, build):
    end = time.monotonic() + 30
    while "begun" not in workshop.text:
        assert time.monotonic() < end, workshop.text
        assert workshop.step(build).status == "pending", build.failure_message
        time.sleep(0.02)


def test_a_build_is_cancelled_and_its_dynos_end(workshop, bob):
    build = workshop.start(SLOW)
    until_it_runs(workshop, build)
    stale = type(build).objects.select_related("app").get(pk=build.pk)
    actions.cancel_by(actor=bob, build=build, engine=workshop.machine.engine)
    assert (build.status, build.failure_reason) == ("cancelled", "build::cancelled")
    assert bob.email in build.failure_message
    assert workshop.step(stale).status == "cancelled"
    assert not [state for state in workshop.machine.engine.list() if build.id.hex in state.id]
    assert AuditEntry.objects.filter(action="build.cancel").count() == 1
    with pytest.raises(ConflictError, match="has already ended: cancelled"):
        actions.cancel_by(actor=bob, build=build, engine=workshop.machine.engine)
    assert workshop.built({**BASE, **pip_files(SIX)}).slug


def test_a_fault_of_the_platforms_own_ends_the_build_and_not_the_worker(workshop, monkeypatch):
    monkeypatch.setattr(plan, "make", lambda *_, **__: 1 / 0)
    build = workshop.build({**BASE, **pip_files(SIX)})
    assert (build.status, build.failure_reason) == ("errored", "build::platform")
    assert str(build.id) in build.failure_hint


def test_the_api_cancels_and_a_viewer_may_not(workshop, bob, vera, all_views):
    use_engine(workshop.machine.engine)
    build = workshop.start(SLOW)
    path = f"/apps/shop/builds/{build.id}/actions/cancel"
    answers = {}
    for actor in (vera, bob):
        _, token = accounts.create_token(
            actor=actor, account=Account.objects.get(pk=actor.account_id), scopes=("global",)
        )
        answers[actor] = Client(headers={"Authorization": f"Bearer {token}"}).post(
            path, "{}", content_type="application/json"
        )
    assert answers[vera].status_code == 403
    assert (answers[bob].status_code, answers[bob].json()["result"]) == (200, "cancelled")


@pytest.mark.rule("12.2")
def test_a_build_that_takes_too_long_is_ended_and_says_so(workshop, monkeypatch):
    assert dyno_specs.LIMITS.timeout == 15 * 60
    monkeypatch.setattr(dyno_specs, "LIMITS", replace(dyno_specs.LIMITS, timeout=2.0))
    build = workshop.build(SLOW)
    assert (build.status, build.failure_reason) == ("failed", "build::timeout")
    assert "15 minutes" in build.failure_message


@pytest.mark.rule("12.2")
def test_a_build_that_takes_too_much_memory_is_ended_and_says_so(workshop, monkeypatch):
    monkeypatch.setattr(dyno_specs, "LIMITS", replace(dyno_specs.LIMITS, memory_mb=64))
    hook = (
        "#!/usr/bin/env python3\nx = bytearray(300_000_000)\nfor i in range(0, len(x), 4096): x[i] = 1\nimport time;"
        " time.sleep(5)\n"
    )
    build = workshop.build({**BASE, **pip_files(SIX), "bin/pre_compile": hook})
    assert (build.status, build.failure_reason) == ("failed", "build::memory")
    assert "2048 MB" in build.failure_message


def test_what_builds_leave_behind_is_swept_and_what_runs_is_not(workshop):
    build = workshop.built({**BASE, **pip_files(SIX)})
    sources = workshop.home / "sources"
    assert (sources / f"{build.commit}.tar").exists()
    half = workshop.home / "slugs" / ".new-0123456789abcdef"
    half.mkdir()
    running = workshop.start({**BASE, **pip_files(SIX), "app.py": "other = 1\n"})
    workshop.step(running)
    later = time.time() + 2 * leftovers.STALE
    removed = leftovers.sweep(engine=workshop.machine.engine, home=workshop.home, now=later)
    assert f"sources/{build.commit}.tar" in removed
    assert not half.exists()
    assert (sources / f"{running.commit}.tar").exists()
    assert workshop.finish(running).status == "succeeded"
    assert (workshop.home / build.slug.folder).is_dir()
    sizes = storage.measure(workshop.home)
    assert sizes["envs"] > 10_000
    assert "envs" in storage.text(sizes)


def test_a_dyno_that_a_crashed_build_left_is_ended(workshop):
    build = workshop.start(SLOW)
    until_it_runs(workshop, build)
    type(build).objects.filter(pk=build.pk).update(status="errored")
    assert any(build.id.hex in name for name in leftovers.sweep(engine=workshop.machine.engine, home=workshop.home))
    assert not [state for state in workshop.machine.engine.list() if build.id.hex in state.id]
