"""The worker starts runs at their planned moments, once each, and tells why one did not take place."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from greenroom.app_migrations.models import MigrationRun
from greenroom.apps.actions import change_settings
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError
from greenroom.dynos import queries as dyno_queries
from greenroom.dynos.actions import planned_starts
from greenroom.dynos.models import Dyno, PlannedStart, Rollout
from greenroom.engine.memory import Outcome
from greenroom.jobs import actions, loop, queries, rules
from greenroom.jobs.actions import runs
from greenroom.jobs.models import Job, JobRun
from greenroom.releases.actions import release as make_release
from tests.jobs.conftest import RUNS

pytestmark = pytest.mark.django_db


class KilledError(BaseException):
    """kill -9 of the worker: no handler of the loop sees it."""


def killed(*_: object, **__: object) -> None:
    raise KilledError


def test_a_run_is_a_one_off_dyno_of_the_live_release(jobs):
    jobs.add(minutes=7, size="standard-2x")
    jobs.turn()
    assert jobs.runs() == [], "nothing before the planned moment"
    jobs.go(minutes=1)
    run = jobs.run()
    live = dyno_queries.live(jobs.app)
    assert (run.state, run.exit_code, run.trigger, run.release_id) == ("succeeded", 0, "schedule", live.release_id)
    assert run.planned_at.second == 0
    (spec,) = jobs.specs()
    assert (spec.kind, spec.process, spec.command[-1]) == ("run", run.dyno_name, "python manage.py clearsessions")
    assert run.dyno_name.startswith("scheduler.")
    assert spec.env["DYNO"] == run.dyno_name
    assert (spec.limits.timeout, run.dyno.size) == (420.0, "standard-2x")
    assert spec.log == jobs.app.log_folder
    assert f"heroku[{run.dyno_name}]: Run 1 of the job nightly, planned for " in jobs.world.log()


def test_the_default_time_limit_is_the_time_until_the_next_planned_moment(jobs):
    jobs.add(schedule="every 15 minutes")
    jobs.now = jobs.now.replace(minute=14)
    Job.objects.update(next_at=jobs.now.replace(minute=15, second=0))
    jobs.go(minutes=1)
    (spec,) = jobs.specs()
    assert 14 * 60 < spec.limits.timeout <= 15 * 60


def test_a_failed_run_has_its_exit_code_and_last_lines(jobs):
    jobs.outcome = Outcome(exit_code=3, output=b"one\nBoom\n")
    jobs.add()
    jobs.go(minutes=1)
    run = jobs.run()
    assert (run.state, run.reason, run.exit_code, run.detail) == ("failed", "exit", 3, "exited with status 3")
    assert run.last_lines == "one\nBoom"
    assert f"The job nightly, run {run.number}, failed: exited with status 3" in jobs.world.log()


def test_a_run_over_its_time_limit_fails_with_that_reason(jobs):
    jobs.outcome = RUNS
    jobs.add()
    jobs.go(minutes=1)
    jobs.engine.end(jobs.run().dyno.engine_id, code=137, reason="timeout")
    jobs.turn()
    assert (jobs.run().state, jobs.run().detail) == ("failed", "exceeded its time limit")


def test_a_stopped_run_says_so(jobs):
    from greenroom.dynos import actions as dynos

    jobs.outcome = RUNS
    jobs.add()
    jobs.go(minutes=1)
    run = jobs.run()
    assert run.dyno.state == "up"
    dynos.restart(actor=jobs.alice, app=jobs.app, name=run.dyno_name, word="stop")
    jobs.turn()
    jobs.engine.pass_drain()
    jobs.turn()
    assert (jobs.run().state, jobs.run().detail) == ("failed", "it was stopped")


@pytest.mark.parametrize("when", ["before the dyno", "before the start", "after the start"])
def test_kill_of_the_worker_neither_loses_a_run_nor_runs_it_twice(jobs, monkeypatch, when):
    jobs.add()
    jobs.now += timedelta(minutes=1)
    with monkeypatch.context() as patch:
        if when == "before the dyno":
            patch.setattr(runs, "_begin", killed)
        elif when == "before the start":
            patch.setattr(planned_starts, "begin", killed)
        else:
            start = jobs.engine.start
            patch.setattr(jobs.engine, "start", lambda spec: (start(spec), killed()))
        with pytest.raises(KilledError):
            jobs.turn()
    jobs.restart_worker()
    jobs.go(minutes=5)
    done = [(run.state, run.count) for run in JobRun.objects.order_by("number")]
    assert done[0] == ("succeeded", 1)
    assert len(jobs.specs()) == sum(state == "succeeded" for state, _ in done)
    assert not PlannedStart.objects.exists()


@pytest.mark.parametrize("when", ["_begin", "begin"])
def test_a_run_does_not_start_long_after_its_time_because_the_worker_was_down(jobs, monkeypatch, when):
    jobs.add(schedule="@hourly")
    jobs.now = jobs.now.replace(minute=59)
    Job.objects.update(next_at=jobs.now + timedelta(seconds=30))
    jobs.now += timedelta(minutes=1)
    with monkeypatch.context() as patch:
        patch.setattr(runs if when == "_begin" else planned_starts, when, killed)
        with pytest.raises(KilledError):
            jobs.turn()
    jobs.restart_worker()
    jobs.go(minutes=30)
    run = JobRun.objects.get()
    assert (run.state, run.reason) == (("missed", "worker") if when == "_begin" else ("failed", "start"))
    assert "Greenroom was not running" in run.detail
    assert not jobs.specs()


def test_a_run_whose_dyno_is_lost_says_so(jobs):
    jobs.outcome = RUNS
    jobs.add()
    jobs.go(minutes=1)
    jobs.engine.forget(jobs.run().dyno.engine_id)  # as after `greenroom down`
    jobs.turn()
    assert (jobs.run().state, jobs.run().reason) == ("failed", "lost")
    assert jobs.run().detail == "its dyno was lost: Greenroom or the machine was stopped"


def test_a_planned_moment_has_at_most_one_run(jobs):
    job = jobs.add()
    moment = job.next_at
    jobs.go(minutes=1)
    Job.objects.update(next_at=moment)  # as after the clock was set back
    jobs.turn()
    assert jobs.runs() == [("succeeded", "")]


def test_moments_while_the_worker_was_down_are_missed_in_one_row_and_told(jobs):
    jobs.add(schedule="@hourly")
    jobs.now = jobs.now.replace(minute=30)
    Job.objects.update(next_at=jobs.now.replace(minute=0, second=0) + timedelta(hours=1))
    jobs.go(hours=3)
    (run,) = JobRun.objects.all()
    assert (run.state, run.reason, run.count, run.until - run.planned_at) == ("missed", "worker", 3, timedelta(hours=2))
    assert "The job nightly missed 3 runs: Greenroom was not running at that time." in jobs.world.log()
    jobs.go(minutes=30)
    assert jobs.runs() == [("missed", "worker"), ("succeeded", "")]


def test_missed_moments_are_caught_up_once_if_the_job_asks_for_it(jobs):
    jobs.add(schedule="@hourly", catch_up=True)
    jobs.now = jobs.now.replace(minute=30)
    Job.objects.update(next_at=jobs.now.replace(minute=0, second=0) + timedelta(hours=1))
    jobs.go(hours=3)
    assert jobs.runs() == [("missed", "worker"), ("succeeded", "")]
    missed, caught_up = JobRun.objects.order_by("number")
    assert (missed.count, caught_up.trigger) == (2, "catch_up")


def maintenance(jobs, on: bool) -> None:
    change_settings(actor=jobs.alice, app=jobs.app, maintenance=on)


def held(jobs, on: bool) -> None:
    if on:
        live = dyno_queries.live(jobs.app).release
        other = make_release(
            actor=jobs.alice, app=jobs.app, kind="push", description="x", slug=live.slug, config=live.config
        )
        Rollout.objects.create(app=jobs.app, release=other, state="held")
    else:
        Rollout.objects.filter(state="held").delete()


def migrating(jobs, on: bool) -> None:
    if on:
        release = dyno_queries.live(jobs.app).release
        dyno = Dyno.objects.create(
            app=jobs.app, release=release, kind="run", type="run", ordinal=1, command="x", engine_id="x", state="up"
        )
        MigrationRun.objects.create(app=jobs.app, release=release, dyno=dyno, command="x")
    else:
        MigrationRun.objects.all().delete()
        Dyno.objects.filter(kind="run").delete()


def unreleased(jobs, on: bool) -> None:
    rows = Rollout.objects.filter(app=jobs.app, state="live" if on else "retired")
    rows.update(state="retired" if on else "live")


OBSTACLES = {
    "maintenance": maintenance,
    "held": held,
    "migrating": migrating,
    "unreleased": unreleased,
}
REASON = {"held": "migration", "migrating": "migration", "unreleased": "release"}


@pytest.mark.parametrize("name", OBSTACLES)
def test_an_obstacle_of_the_app_makes_runs_missed_and_a_catch_up_wait(jobs, name):
    reason = REASON.get(name, name)
    jobs.add()
    jobs.add("patient", catch_up=True)
    OBSTACLES[name](jobs, on=True)
    for _ in range(3):
        jobs.go(minutes=1)
    assert jobs.runs() == [("missed", reason)]
    assert JobRun.objects.get(job__name="nightly").count == 3
    assert jobs.runs("patient") == [("waiting", reason), ("missed", reason)], "one is caught up, not three"
    assert queries.obstacle(jobs.app).hint.startswith("greenroom ")
    with pytest.raises(ConflictError, match="cannot run now") as caught:
        runs.ask(actor=jobs.alice, app=jobs.app, name="nightly")
    assert caught.value.hint == queries.obstacle(jobs.app).hint
    assert not jobs.specs()
    OBSTACLES[name](jobs, on=False)
    jobs.go(seconds=20)
    assert jobs.runs("patient")[0] == ("succeeded", "")
    assert jobs.runs() == [("missed", reason)]


def test_a_run_is_skipped_while_the_previous_one_runs(jobs):
    jobs.outcome = RUNS
    jobs.add()
    for _ in range(3):
        jobs.go(minutes=1)
    assert jobs.runs() == [("running", ""), ("skipped", "overlap")]
    assert jobs.run().count == 2
    with pytest.raises(ConflictError, match="Run 1 of nightly has not ended"):
        runs.ask(actor=jobs.alice, app=jobs.app, name="nightly")


def test_with_overlap_queue_one_run_waits_for_the_previous_one(jobs):
    jobs.outcome = RUNS
    jobs.add(overlap="queue")
    for _ in range(3):
        jobs.go(minutes=1)
    assert jobs.runs() == [("running", ""), ("waiting", ""), ("skipped", "overlap")]
    jobs.end(JobRun.objects.get(number=1))
    jobs.turn()
    assert jobs.runs()[:2] == [("succeeded", ""), ("running", "")]


def test_with_overlap_allow_runs_are_side_by_side_up_to_a_limit(jobs):
    jobs.outcome = RUNS
    jobs.add(overlap="allow")
    for _ in range(4):
        jobs.go(minutes=1)
    assert jobs.runs() == [*[("running", "")] * rules.OF_A_JOB, ("skipped", "overlap")]
    with pytest.raises(ConflictError, match="Run 3 of nightly has not ended"):
        runs.ask(actor=jobs.alice, app=jobs.app, name="nightly")


def test_an_app_runs_a_limited_number_of_jobs_at_once(jobs):
    jobs.outcome = RUNS
    for number in range(rules.OF_AN_APP + 1):
        jobs.add(f"job{number}")
    jobs.go(minutes=1)
    states = list(JobRun.objects.order_by("number").values_list("state", flat=True))
    assert states == [*["running"] * rules.OF_AN_APP, "waiting"]
    jobs.end(JobRun.objects.get(number=1))
    jobs.turn()
    jobs.go(seconds=20)
    assert JobRun.objects.get(number=rules.OF_AN_APP + 1).state == "running"


def test_a_user_runs_a_job_now_also_while_it_is_paused(jobs):
    job = jobs.add(schedule="@weekly")
    actions.pause(actor=jobs.alice, app=jobs.app, name="nightly")
    run = runs.ask(actor=jobs.alice, app=jobs.app, name="nightly")
    jobs.turn()
    run.refresh_from_db()
    assert (run.state, run.trigger, run.account_id) == ("succeeded", "user", jobs.alice.account_id)
    job.refresh_from_db()
    assert job.next_at is None


def test_a_waiting_run_of_a_removed_or_paused_job_is_skipped(jobs):
    jobs.outcome = RUNS
    for name, change in (("one", actions.remove), ("two", actions.pause)):
        jobs.add(name, overlap="queue")
        jobs.go(minutes=1)
        jobs.go(minutes=1)
        change(actor=jobs.alice, app=jobs.app, name=name)
        jobs.go(seconds=20)
    assert jobs.runs("one") == [("running", ""), ("skipped", "removed")]
    assert jobs.runs("two") == [("running", ""), ("skipped", "paused")]


def test_a_start_that_the_engine_refuses_is_repeated_and_then_given_up(jobs):
    jobs.outcome = Outcome(refuses="no room")
    jobs.add()
    jobs.go(minutes=1)
    assert jobs.run().state == "running"
    assert jobs.loop.rest() == loop.WATCH, "no busy loop"
    JobRun.objects.filter(number=1).update(started_at=clock.now() - timedelta(minutes=6))
    jobs.turn()
    run = JobRun.objects.get(number=1)
    assert (run.state, run.reason) == ("failed", "start")
    assert "no room" in run.detail


def test_history_is_kept_by_number_and_by_age(jobs, monkeypatch):
    monkeypatch.setattr(rules, "KEPT_RUNS", 2)
    jobs.add()
    for _ in range(4):
        jobs.go(minutes=1)
    assert list(JobRun.objects.order_by("number").values_list("number", flat=True)) == [3, 4]
    assert Dyno.objects.filter(kind="scheduler").count() == 4, "the engine has not forgotten them yet"
    jobs.now += rules.KEPT + timedelta(days=1)
    actions.remove(actor=jobs.alice, app=jobs.app, name="nightly")
    assert runs.forget_old() == 2
    assert Dyno.objects.filter(kind="scheduler").count() == 2
    jobs.now += rules.KEPT + timedelta(days=1)
    runs.forget_old()
    assert not Job.objects.exists()


def test_the_loop_sleeps_until_the_next_planned_moment(jobs):
    assert jobs.loop.rest() == loop.LONGEST
    jobs.add()
    assert jobs.loop.rest() == 30.0
    jobs.outcome = RUNS
    jobs.go(seconds=31)
    assert jobs.loop.rest() == loop.WATCH, "a dyno runs"


def test_a_turn_costs_the_same_with_many_jobs_that_are_not_due(jobs):
    def cost() -> int:
        with CaptureQueriesContext(connection) as found:
            jobs.loop.turn()
            jobs.loop.rest()
        return len(found)

    jobs.turn()
    before = cost()
    for number in range(20):
        jobs.add(f"job{number}", schedule="@weekly")
    assert cost() == before
    assert before <= 5


def test_a_job_has_no_credentials_to_change_the_schema(jobs):
    from greenroom.addons.rules.access import ANY, APP, OWNER, role_for

    assert role_for("scheduler", {}) == APP
    assert role_for("scheduler", {"schema_changes": ANY}) == OWNER
