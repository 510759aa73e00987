"""Test runs step by step: the content of their two files; kills and other users' commits change nothing. Build and dyno
are stand-ins.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from greenroom.basics.errors import ConflictError
from greenroom.builds.drivers.test_environments import TestOverlay
from greenroom.builds.models import Build
from greenroom.checks.actions.check_runs import move
from greenroom.checks.models import CheckRun
from greenroom.deliveries.drivers import transcript
from greenroom.deliveries.models import Delivery
from greenroom.engine.memory import MemoryEngine
from greenroom.git import actions as git
from greenroom.pipelines import actions, queries, rules
from greenroom.pipelines.actions import test_runs
from greenroom.pipelines.models import TestRun
from tests.git.test_tarball import archive, entry

pytestmark = pytest.mark.django_db
CLAIMED = "c" * 40


@pytest.fixture
def driver(home):
    return test_runs.Driver(MemoryEngine(), home)


@pytest.fixture
def upload(alice, pipe, shop, home, tmp_path):
    """A test run of an archive with a claimed commit."""
    git.create_repository(app=shop, home=home)
    path = archive(tmp_path, entry("Procfile"))
    return test_runs.start(
        actor=alice,
        pipeline=pipe,
        home=home,
        tarball=path,
        commit_sha=CLAIMED,
        commit_branch="mine",
        commit_message="One\nTwo",
    )


def ended(monkeypatch, status, slug=None, **words):
    """Builds end at their first step."""

    def advance(*, build, say, **_):
        say("-----> Building")
        Build.objects.filter(pk=build.pk).update(status=status, slug=slug, **words)
        build.refresh_from_db()
        return build

    monkeypatch.setattr(test_runs.build_steps, "advance", advance)
    monkeypatch.setattr(test_runs.build_steps, "prepare_test_overlay", lambda **_: TestOverlay("ready"))


def says(driver, run, text):
    driver.engine.print(f"test-{run.id.hex}", text.encode())


def step(driver):
    for row in queries.open_test_runs():
        driver.advance(row)
    return TestRun.objects.get()


def read(home, file):
    return (home / file).read_text()


def test_an_upload_is_built_tested_and_told_and_says_nothing_of_the_commit_that_it_claims(
    upload, driver, home, serving, monkeypatch
):
    ended(monkeypatch, "succeeded", serving.slug)
    assert (upload.commit_sha, upload.commit_message) == (CLAIMED, "One Two")
    assert upload.sha != CLAIMED
    row = step(driver)
    assert row.state == "running"
    assert not transcript.is_closed(home / row.setup)
    monkeypatch.setattr(
        test_runs.check_steps,
        "advance_tests",
        lambda *, run, **_: run.status == "queued" and move(run, status="in_progress"),
    )
    says(driver, row.check_run, "first line\nhal")
    row = step(driver)
    assert (read(home, row.setup), transcript.is_closed(home / row.setup)) == ("-----> Building\n", True)
    assert read(home, row.output) == "first line\n", "whole lines, as they come"
    says(driver, row.check_run, "f a line\n")
    move(CheckRun.objects.get(), status="completed", conclusion="success", title="Ran 1 test in 0.1 s: OK")
    row = step(driver)
    assert read(home, row.output) == "first line\nhalf a line\n-----> Ran 1 test in 0.1 s: OK\n"
    assert transcript.is_closed(home / row.output)
    assert (row.told, row.state) == (True, "ended")
    assert not CheckRun.objects.filter(sha=CLAIMED).exists()
    assert list(queries.open_test_runs()) == []


def test_the_build_of_an_upload_sees_the_tests_environment_and_no_config_var_of_the_app(
    alice, pipe, shop, serving, home, tmp_path, driver, monkeypatch
):
    git.create_repository(app=shop, home=home)
    actions.change_config(actor=alice, pipeline=pipe, stage="test", home=home, updates={"CI_WORD": "hello"})
    path = archive(
        tmp_path,
        entry("app.json", b'{"env": {"COLOUR": {"value": "red"}}, "environments": {"test": {"env": {"LEVEL": "2"}}}}'),
    )
    test_runs.start(
        actor=alice, pipeline=pipe, home=home, tarball=path, commit_sha=CLAIMED, commit_branch="b", commit_message="m"
    )
    seen = {}
    monkeypatch.setattr(test_runs.build_steps, "advance", lambda *, build, config, **_: seen.update(config) or build)
    step(driver)
    assert seen.pop("SECRET_KEY")
    assert seen == {
        "COLOUR": "red",
        "LEVEL": "2",
        "CI_WORD": "hello",
        "CI": "true",
        "DATABASE_URL": "postgres://nobody:nothing@127.0.0.1:1/nothing",
    }


def test_a_build_that_fails_ends_the_run_with_its_words(upload, driver, home, monkeypatch):
    ended(monkeypatch, "failed", failure_message="No Procfile.", failure_hint="add one")
    row = step(driver)
    assert (row.state, row.message, row.told, row.check_run) == ("ended", "No Procfile.", True, None)
    assert " !     hint: add one" in read(home, row.setup)
    assert transcript.is_closed(home / row.setup)
    assert transcript.is_closed(home / row.output)


def test_a_kill_between_build_and_row_starts_no_second_build(upload, driver, monkeypatch):
    monkeypatch.setattr(test_runs.build_steps, "advance", lambda **_: (_ for _ in ()).throw(KeyboardInterrupt))
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            step(driver)
    assert Build.objects.count() == 1
    assert TestRun.objects.get().build is not None


def test_a_pushs_run_shows_what_its_delivery_said_before_the_tests(alice, pipe, shop, driver, home):
    sha = "a" * 40
    run = CheckRun.objects.create(app=shop, sha=sha, name="tests", builtin=True)
    delivery = Delivery.objects.create(app=shop, seq=1, kind="push", sha=sha, account_id=alice.account_id)
    transcript.append(
        home / delivery.transcript, "-----> Building\n-----> Running tests: x\n       Ran 1 test\n-----> Launching..."
    )
    assert test_runs.number_new(home=home) == 1
    row = step(driver)
    assert not (home / row.output).exists()
    move(run, status="in_progress")
    move(run, status="completed", conclusion="failure", title="1 of 1 failed", summary="FAIL: x")
    row = step(driver)
    assert read(home, row.setup) == "-----> Building\n"
    assert read(home, row.output) == "FAIL: x\n-----> 1 of 1 failed\n", (
        "the dyno's own output is gone: what the check kept"
    )
    assert row.account_id == alice.account_id


def test_a_cancelled_run_stays_cancelled_whatever_its_build_becomes(alice, upload, driver, home, monkeypatch):
    monkeypatch.setattr(test_runs.build_steps, "advance", lambda *, build, **_: build)
    row = step(driver)
    assert row.state == "building"
    stale = queries.open_test_runs().get()
    test_runs.cancel(actor=alice, row=row, engine=driver.engine)
    driver.advance(stale)
    row = step(driver)
    assert (row.state, row.message, row.told) == ("cancelled", "cancelled by alice@example.com", True)
    assert Build.objects.get().status == "cancelled"
    assert rules.test_status(state=row.state, check="", conclusion="") == "cancelled"
    assert transcript.is_closed(home / row.output)
    with pytest.raises(ConflictError, match="has already ended"):
        test_runs.cancel(actor=alice, row=row, engine=driver.engine)


def over(driver, home):
    """The run after its next turn: cancelled everywhere, with nothing left open."""
    row = step(driver)
    assert (row.state, row.message, row.told) == ("cancelled", "cancelled by alice@example.com", True)
    assert transcript.is_closed(home / row.output)
    assert not Build.objects.filter(status="pending").exists()
    assert not CheckRun.objects.exclude(status="completed").exists()
    assert driver.engine.list() == []
    return row


def test_a_run_that_is_cancelled_before_its_build_begins_gets_none(alice, upload, driver, home, monkeypatch):
    monkeypatch.setattr(test_runs.build_steps, "advance", lambda *, build, **_: build)
    stale = queries.open_test_runs().get()
    test_runs.cancel(actor=alice, row=upload, engine=driver.engine)
    driver.advance(stale)
    assert not Build.objects.exists()
    assert read(home, over(driver, home).output) == "-----> cancelled by alice@example.com\n"


def test_a_run_that_is_cancelled_as_its_build_succeeds_gets_no_check_run(
    alice, upload, driver, home, serving, monkeypatch
):
    ended(monkeypatch, "succeeded", serving.slug)
    advance = test_runs.build_steps.advance

    def meanwhile(**order):
        build = advance(**order)
        test_runs.cancel(actor=alice, row=upload, engine=driver.engine)
        return build

    monkeypatch.setattr(test_runs.build_steps, "advance", meanwhile)
    step(driver)
    assert not CheckRun.objects.exists()
    over(driver, home)


def test_a_run_that_is_cancelled_before_its_tests_begin_starts_none(alice, upload, driver, home, serving, monkeypatch):
    ended(monkeypatch, "succeeded", serving.slug)
    row = step(driver)
    stale = queries.open_test_runs().get()
    assert stale.check_run.status == "queued"
    test_runs.cancel(actor=alice, row=row, engine=driver.engine)
    driver.advance(stale)
    assert CheckRun.objects.get().conclusion == "cancelled"
    over(driver, home)


def test_a_run_that_is_cancelled_as_its_overlay_fails_gets_no_second_attempt(
    alice, upload, driver, home, serving, monkeypatch
):
    ended(monkeypatch, "succeeded", serving.slug)
    row = step(driver)

    def meanwhile(**_):
        test_runs.cancel(actor=alice, row=row, engine=driver.engine)
        return TestOverlay("failed", message="no network")

    monkeypatch.setattr(test_runs.build_steps, "prepare_test_overlay", meanwhile)
    step(driver)
    assert CheckRun.objects.get().conclusion == "cancelled"
    assert TestRun.objects.get().told


def test_a_run_whose_tests_end_at_that_moment_is_over_and_not_cancelled(alice, upload, driver, serving, monkeypatch):
    ended(monkeypatch, "succeeded", serving.slug)
    row = step(driver)
    monkeypatch.setattr(test_runs.checks, "cancel", lambda **_: [])
    with pytest.raises(ConflictError, match="has already ended"):
        test_runs.cancel(actor=alice, row=row, engine=driver.engine)
    assert TestRun.objects.get().state == "running"


def test_the_tests_of_a_cancelled_run_are_killed_and_a_pushs_run_is_not_cancelled(
    alice, pipe, shop, upload, driver, serving, monkeypatch
):
    ended(monkeypatch, "succeeded", serving.slug)
    monkeypatch.setattr(
        test_runs.check_steps,
        "advance_tests",
        lambda *, run, **_: run.status == "queued" and move(run, status="in_progress"),
    )
    step(driver)
    row = step(driver)
    test_runs.cancel(actor=alice, row=row, engine=driver.engine)
    assert CheckRun.objects.get().conclusion == "cancelled"
    pushed = TestRun.objects.create(pipeline=pipe, number=9, app=shop, sha="5" * 40, commit_sha="5" * 40)
    with pytest.raises(ConflictError, match="of a push"):
        test_runs.cancel(actor=alice, row=pushed, engine=driver.engine)


def test_files_that_no_row_names_are_removed_after_an_hour(upload, home):
    stray = home / f"logs/deliveries/{'0' * 31}1.log"
    transcript.append(stray, "of a pipeline that is gone")
    transcript.close(stray)
    for file in (upload.setup, upload.output):
        transcript.append(home / file, "still named")
    later = stray.stat().st_mtime + test_runs.LEFT_BEHIND + 60
    assert test_runs.sweep(home, now=later - 120) == []
    assert test_runs.sweep(home, now=later) == [stray.name]
    assert sorted(path.name for path in stray.parent.iterdir()) == sorted(
        Path(file).name for file in (upload.setup, upload.output)
    )
    upload.pipeline.delete()
    assert len(test_runs.sweep(home, now=later)) == 2
