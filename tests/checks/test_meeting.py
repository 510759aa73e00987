"""Concurrent changes of a check run: a writer with a stale row is refused or gets the current state, and no attempt
ends twice.
"""

from __future__ import annotations

import pytest
from django.db import transaction

from greenroom.basics.errors import ConflictError
from greenroom.checks import actions, steps
from greenroom.checks.actions import external_reports
from greenroom.checks.actions.check_runs import move
from greenroom.checks.models import CheckRun
from tests.checks.stage import Stage
from tests.checks.test_drive import SHA, Play
from tests.meeting import Aside

pytestmark = pytest.mark.django_db


def opened(shop, alice):
    return external_reports.open_run(
        app=shop, sha=SHA, name="ci/build", status="in_progress", conclusion="", words={}, annotations=(), actor=alice
    )


def changed(shop, alice, run, status="", conclusion="", **words):
    return external_reports.change_run(
        app=shop, run=run, status=status, conclusion=conclusion, words=words, annotations=(), actor=alice
    )


def test_a_move_of_an_old_read_is_refused_and_changes_nothing(shop):
    (run,) = actions.begin(app=shop, sha=SHA, names=["tests"])
    move(CheckRun.objects.get(), status="completed", conclusion="cancelled")
    with pytest.raises(ConflictError, match="in the meantime"):
        move(run, status="in_progress")
    row = CheckRun.objects.get()
    assert (row.status, row.conclusion, row.started_at) == ("completed", "cancelled", None)


def test_the_dyno_of_a_check_that_was_ended_since_it_was_read_is_not_started(shop, home):
    play = Play(shop, home)
    run = play.run("tests")
    actions.cancel(app=shop, sha=SHA, engine=play.engine, why="superseded")
    ended = steps.advance_tests(run=run, slug=play.slug, mounts=(), engine=play.engine, home=home, say=play.said.append)
    assert (ended.status, ended.conclusion, play.engine.starts) == ("completed", "cancelled", [])


def test_the_dyno_of_a_check_that_is_ended_while_it_is_started_is_killed_and_swept(shop, home, monkeypatch):
    play = Play(shop, home)
    dyno, start = play.test_id, play.engine.start

    def meanwhile(spec):
        actions.cancel(app=shop, sha=SHA, engine=Stage(home), why="superseded")
        assert steps.sweep(engine=Stage(home)) == 1
        return start(spec)

    monkeypatch.setattr(play.engine, "start", meanwhile)
    assert play.tests().conclusion == "cancelled"
    assert play.engine.signals == [(dyno, "KILL")]
    assert steps.sweep(engine=play.engine) == 1
    assert (play.engine.forgotten, play.engine.list()) == ([dyno], [])


def test_a_check_run_that_has_ended_since_it_was_read_is_not_opened_again(shop, alice):
    run = opened(shop, alice)
    stale = CheckRun.objects.get()
    changed(shop, alice, run, "completed", "success", title="42 passed")
    with pytest.raises(ConflictError, match="has ended as success"):
        changed(shop, alice, stale, "in_progress")
    late = CheckRun.objects.get()
    late.status, late.conclusion, late.title = "in_progress", "", ""
    assert changed(shop, alice, late, summary="words that come late").title == "42 passed"
    row = CheckRun.objects.get()
    assert (row.attempt, row.status, row.conclusion, row.title, row.summary) == (
        1,
        "completed",
        "success",
        "42 passed",
        "words that come late",
    )


@pytest.mark.django_db(transaction=True)
def test_of_two_jobs_that_open_a_run_at_once_each_has_an_attempt_of_its_own(shop, alice):
    opened(shop, alice)
    with transaction.atomic():
        opened(shop, alice)
        aside = Aside(lambda: opened(shop, alice))
        assert aside.waits()
    aside.end()
    rows = CheckRun.objects.order_by("attempt").values_list("attempt", "status", "conclusion")
    assert list(rows) == [(1, "completed", "cancelled"), (2, "completed", "cancelled"), (3, "in_progress", "")]


@pytest.mark.django_db(transaction=True)
def test_a_report_waits_for_who_ends_the_attempt_as_stale_and_begins_another(shop, alice):
    opened(shop, alice)
    with transaction.atomic():
        move(CheckRun.objects.select_for_update(no_key=True).get(), status="completed", conclusion="stale")
        aside = Aside(
            lambda: actions.report(app=shop, sha=SHA, name="ci/build", status="completed", conclusion="success")
        )
        assert aside.waits()
    aside.end()
    assert list(CheckRun.objects.order_by("attempt").values_list("attempt", "conclusion")) == [
        (1, "stale"),
        (2, "success"),
    ]
