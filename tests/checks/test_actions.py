"""Check runs, verdicts and overrides as rows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from greenroom.accounts.models import AuditEntry
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError, NotFoundError, UserError
from greenroom.checks import actions, queries
from greenroom.checks.models import Annotation, CheckRun, Verdict
from tests.checks.stage import Stage

SHA, OTHER = "a" * 40, "b" * 40
BOTH = ("tests", "scan")
pytestmark = pytest.mark.django_db


def passed(app, name, sha=SHA):
    return actions.report(app=app, sha=sha, name=name, status="completed", conclusion="success")


def finish(run, conclusion):
    CheckRun.objects.filter(pk=run.pk).update(status="completed", conclusion=conclusion)


def test_checks_begin_once_however_often_they_are_asked_for(shop):
    first = actions.begin(app=shop, sha=SHA, names=BOTH)
    with CaptureQueriesContext(
        connection,
    ) as seen:
        again = actions.begin(app=shop, sha=SHA, names=BOTH)
    assert [run.id for run in again] == [run.id for run in first]
    assert [(run.name, run.attempt, run.status, run.builtin) for run in first] == [
        ("tests", 1, "queued", True),
        ("scan", 1, "queued", True),
    ]
    assert len(seen) == 1


def test_checks_of_a_cancelled_delivery_are_attempted_anew_by_the_next(shop, tmp_path):
    actions.begin(app=shop, sha=SHA, names=BOTH)
    actions.cancel(app=shop, sha=SHA, engine=Stage(tmp_path), why="the build failed")
    assert [(run.attempt, run.status) for run in actions.begin(app=shop, sha=SHA, names=BOTH)] == [(2, "queued")] * 2


def test_a_verdict_is_written_only_when_it_changes(shop):
    actions.begin(app=shop, sha=SHA, names=["tests"])
    first = actions.judge(app=shop, sha=SHA, required=["ci/build"])
    assert actions.judge(app=shop, sha=SHA, required=["ci/build"]).id == first.id
    passed(shop, "ci/build")
    assert actions.judge(app=shop, sha=SHA, required=["ci/build"]).colour == "green"
    assert Verdict.objects.filter(app=shop, sha=SHA).count() == 2


def test_a_check_of_an_earlier_commit_never_counts(shop):
    passed(shop, "ci/build", OTHER)
    assert actions.judge(app=shop, sha=SHA, required=["ci/build"]).colour == "pending"


def test_a_report_moves_a_check_from_pending_to_its_end(shop):
    run = actions.report(app=shop, sha=SHA, name="ci/build", status="in_progress", url="https://ci.example.com/1")
    assert run.started_at is not None
    done = actions.report(
        app=shop, sha=SHA, name="CI/Build", status="completed", conclusion="failure", title="3 failed"
    )
    assert (done.id, done.attempt, done.name, done.conclusion) == (run.id, 1, "ci/build", "failure")
    verdict = actions.judge(app=shop, sha=SHA, required=["ci/build"])
    assert (verdict.colour, verdict.reasons) == ("red", ["`ci/build` failed: 3 failed"])


def test_a_report_that_is_repeated_changes_nothing_and_a_new_one_is_a_new_attempt(shop):
    first = passed(shop, "ci/build")
    assert passed(shop, "ci/build").id == first.id
    failed = actions.report(app=shop, sha=SHA, name="ci/build", status="completed", conclusion="failure")
    assert (failed.attempt, queries.latest(shop, SHA)) == (2, [failed])
    assert len(queries.history(shop, sha=SHA)) == 2


def test_a_late_queued_does_not_turn_a_running_check_back(shop):
    actions.report(app=shop, sha=SHA, name="ci/build", status="in_progress")
    assert actions.report(app=shop, sha=SHA, name="ci/build", status="queued").status == "in_progress"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sha": "HEAD"}, "Invalid commit SHA"),
        ({"name": "  "}, "name is missing"),
        ({"name": "Tests"}, "built-in check"),
        ({"conclusion": "stale"}, "Only Greenroom"),
        ({"conclusion": "great"}, "does not exist"),
        ({"conclusion": ""}, "requires a conclusion"),
        ({"status": "paused"}, "does not exist"),
        ({"status": "in_progress"}, "requires a conclusion"),
        ({"status": "queued"}, "requires a conclusion"),
    ],
)
def test_a_report_that_makes_no_sense_is_refused(shop, bob, change, words):
    report = {"sha": SHA, "name": "ci/build", "status": "completed", "conclusion": "success", **change}
    with pytest.raises(UserError, match=words):
        actions.report(app=shop, actor=bob, **report)
    assert not CheckRun.objects.exists()


def test_nobody_can_report_a_builtin_check_as_passed(shop, alice):
    for actor in (alice, None):
        with pytest.raises(UserError, match="built-in check"):
            actions.report(app=shop, sha=SHA, name="tests", status="completed", conclusion="success", actor=actor)


def test_the_platform_may_end_a_builtin_check_with_an_error(shop):
    run = actions.report(app=shop, sha=SHA, name="tests", status="completed", conclusion="error", title="no wheel")
    assert (run.builtin, run.conclusion) == (True, "error")
    assert actions.judge(app=shop, sha=SHA, required=["tests"]).colour == "red"


def test_findings_of_a_report_are_kept_clean_and_bounded(shop):
    items = [{"path": "a\x00.py", "line": 7, "message": "bad\x1b[2J", "severity": 9}] * 1200
    run = actions.report(app=shop, sha=SHA, name="lint", status="in_progress", annotations=items)
    assert run.annotations.count() == 1000
    first = Annotation.objects.first()
    assert (first.path, first.message, first.severity, first.tool) == ("a.py", "bad", 4, "lint")


def test_a_rerun_is_a_new_attempt_with_its_actor_in_the_audit_log(shop, bob):
    run = actions.begin(app=shop, sha=SHA, names=["tests"])[0]
    with pytest.raises(ConflictError, match="has not ended"):
        actions.rerun(app=shop, sha=SHA, name="tests", actor=bob)
    finish(run, "failure")
    assert actions.rerun(app=shop, sha=SHA, name="tests", actor=bob)[0].attempt == 2
    assert actions.judge(app=shop, sha=SHA, required=["tests"]).colour == "pending"
    entry = AuditEntry.objects.get(action="check.rerun")
    assert (entry.actor, entry.detail["checks"]) == ("bob@example.com", {"tests": 2})


def test_rerun_of_all_leaves_green_and_running_checks_alone(shop, bob):
    tests, scan = actions.begin(app=shop, sha=SHA, names=BOTH)
    finish(tests, "success")
    finish(scan, "error")
    actions.report(app=shop, sha=SHA, name="ci/build", status="in_progress")
    assert [(run.name, run.attempt) for run in actions.rerun(app=shop, sha=SHA, actor=bob)] == [("scan", 2)]


def test_there_is_nothing_to_rerun_on_an_unknown_commit(shop, bob):
    with pytest.raises(NotFoundError):
        actions.rerun(app=shop, sha=OTHER, name="tests", actor=bob)
    with pytest.raises(ConflictError):
        actions.rerun(app=shop, sha=OTHER, actor=bob)


def test_an_override_opens_the_gate_for_one_commit_until_a_newer_attempt(shop, alice, bob):
    scan = actions.begin(app=shop, sha=SHA, names=["scan"])[0]
    finish(scan, "failure")
    actions.override(app=shop, sha=SHA, checks=["scan"], reason="known and harmless", actor=alice)
    verdict = actions.judge(app=shop, sha=SHA, required=["scan"])
    assert (verdict.colour, verdict.inputs["overridden"]) == ("green", ["scan"])
    assert "alice@example.com: known and harmless" in verdict.reasons[0]
    assert actions.judge(app=shop, sha=OTHER, required=["scan"]).colour == "pending"
    actions.rerun(app=shop, sha=SHA, name="scan", actor=bob)
    assert actions.judge(app=shop, sha=SHA, required=["scan"]).colour == "pending"
    finish(queries.latest_of(shop, SHA, "scan"), "failure")
    assert actions.judge(app=shop, sha=SHA, required=["scan"]).colour == "red"


def test_an_override_is_recorded_with_the_verdict_that_it_set_aside(shop, alice):
    finish(actions.begin(app=shop, sha=SHA, names=["scan"])[0], "failure")
    actions.judge(app=shop, sha=SHA, required=["scan"])
    actions.override(app=shop, sha=SHA, checks=["scan"], reason="known and harmless", actor=alice)
    detail = AuditEntry.objects.get(action="deploy.override").detail
    assert detail["verdict"]["colour"] == "red"
    assert detail["reason"] == "known and harmless"


@pytest.mark.parametrize(
    ("change", "words"),
    [({"reason": "because"}, "10 characters"), ({"checks": ["nope"]}, "no such check"), ({"sha": "abc"}, "40-digit")],
)
def test_an_override_without_reason_or_of_nothing_is_refused(shop, alice, change, words):
    wish = {"sha": SHA, "checks": ["scan"], "reason": "known and harmless", **change}
    with pytest.raises(UserError, match=words):
        actions.override(app=shop, actor=alice, **wish)


def test_a_check_that_is_silent_for_two_hours_is_stale(shop):
    actions.report(app=shop, sha=SHA, name="ci/build", status="in_progress")
    CheckRun.objects.update(updated_at=clock.now() - timedelta(hours=3))
    verdict = actions.judge(app=shop, sha=SHA, required=["ci/build"])
    assert verdict.colour == "blocked"
    assert verdict.reasons == ["`ci/build` is stale: no report from its provider for 2 hours"]


def test_a_judgement_without_news_costs_three_queries(shop):
    actions.begin(app=shop, sha=SHA, names=BOTH)
    actions.judge(app=shop, sha=SHA, required=BOTH)
    with CaptureQueriesContext(connection) as seen:
        actions.judge(app=shop, sha=SHA, required=BOTH)
    assert len(seen) == 3


def test_cancelling_kills_the_dynos_of_unfinished_checks(shop, tmp_path):
    engine = Stage(tmp_path)
    tests, scan = actions.begin(app=shop, sha=SHA, names=BOTH)
    finish(tests, "success")
    assert [run.name for run in actions.cancel(app=shop, sha=SHA, engine=engine, why="superseded by bbbbbbbb")] == [
        "scan"
    ]
    assert engine.signals[0] == (f"scan-{scan.id.hex}", "KILL")
    assert CheckRun.objects.get(pk=scan.pk).title == "superseded by bbbbbbbb"
