"""Writes runs of jobs: at planned moments, on request, when they start, and when they end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, Max, OuterRef

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import PLATFORM, Actor
from greenroom.apps.actions import lock_app
from greenroom.apps.actions.worker import wake
from greenroom.apps.models import App
from greenroom.basics import clock, schedules
from greenroom.basics.errors import ConflictError
from greenroom.dynos import actions as dynos
from greenroom.dynos import queries as dyno_queries
from greenroom.dynos.actions import planned_starts
from greenroom.dynos.models import Dyno
from greenroom.dynos.rules import SCHEDULER, StartOptions
from greenroom.jobs import queries, rules
from greenroom.jobs.models import Job, JobRun
from greenroom.logs.actions import say


@transaction.atomic
def plan(*, job_id: UUID, now: datetime, home: Path) -> None:
    """Write the runs of the job's planned moments up to now, and its next moment. Repeatable: a moment has one run."""
    app_id = Job.objects.values_list("app_id", flat=True).get(pk=job_id)
    app = lock_app(app_id)
    job = Job.objects.select_for_update(no_key=True).get(pk=job_id)
    if job.next_at is None or job.next_at > now:
        return
    try:
        found = [job.next_at, *schedules.between(job.schedule, job.time_zone, job.next_at, now)]
        following = schedules.after(job.schedule, job.time_zone, now)
    except ValueError as error:
        _stop(job, app, str(error), home)
        return
    moments = rules.sort(found, now, catch_up=job.catch_up)
    if moments.missed:
        _tell(job, app, "missed", "worker", moments.missed, home)
    if moments.current is not None:
        decision = rules.decide(queries.facts(job, queries.obstacle(app).reason))
        if decision.state == "waiting":
            late = moments.caught_up or decision.caught_up
            _write(job, app, "catch_up" if late else "schedule", moments.current, decision.reason)
        else:
            _tell(job, app, decision.state, decision.reason, [moments.current], home)
    job.next_at = following
    job.save(update_fields=["next_at"])


def _stop(job: Job, app: App, problem: str, home: Path) -> None:
    """Pause a job whose schedule can no longer be evaluated: this machine lacks its time zone."""
    job.paused_at, job.paused_by, job.next_at = clock.now(), "greenroom", None
    job.save(update_fields=["paused_at", "paused_by", "next_at", "updated_at"])
    text = f"The job {job.name} is paused: {problem}."
    transaction.on_commit(partial(say, app=app, home=home, process=SCHEDULER, text=text))


def _number(app: App) -> int:
    """The number of the app's next run; the caller has locked the app."""
    return (JobRun.objects.filter(app=app).aggregate(top=Max("number"))["top"] or 0) + 1


def _write(job: Job, app: App, trigger: str, moment: datetime, reason: str = "", actor: Actor = PLATFORM) -> JobRun:
    """A waiting run. reason: what it waits for."""
    row, _ = JobRun.objects.get_or_create(
        job=job,
        planned_at=moment,
        defaults={
            "app": app,
            "number": _number(app),
            "trigger": trigger,
            "until": moment,
            "state": "waiting",
            "reason": reason,
            "command": job.command,
            "account_id": actor.account_id,
            "look_at": clock.now(),
        },
    )
    return row


def _tell(job: Job, app: App, state: str, reason: str, moments: Sequence[datetime], home: Path) -> None:
    """Record moments without a run. Consecutive ones with the same reason are one row."""
    newest = JobRun.objects.filter(job=job).order_by("-number").first()
    if newest is not None and (newest.state, newest.reason) == (state, reason) and newest.until < moments[0]:
        newest.until, newest.count = moments[-1], newest.count + len(moments)
        newest.save(update_fields=["until", "count", "updated_at"])
        return
    JobRun.objects.get_or_create(
        job=job,
        planned_at=moments[0],
        defaults={
            "app": app,
            "number": _number(app),
            "trigger": "schedule",
            "until": moments[-1],
            "count": len(moments),
            "state": state,
            "reason": reason,
            "detail": rules.REASONS[reason],
            "command": job.command,
            "finished_at": clock.now(),
        },
    )
    text = f"The job {job.name} {_word(state)} {rules.span(len(moments))}: {rules.REASONS[reason]}."
    transaction.on_commit(partial(say, app=app, home=home, process=SCHEDULER, text=text))


def _word(state: str) -> str:
    return "missed" if state == "missed" else "skipped"


@transaction.atomic
def ask(*, actor: Actor, app: App, name: str) -> JobRun:
    """A run of the job as soon as possible. ConflictError if its jobs cannot run now, or if it has an open run."""
    lock_app(app.pk)
    app.refresh_from_db()
    job = queries.job(app, name)
    found = queries.obstacle(app)
    if found.reason:
        raise ConflictError(f"The job {name} cannot run now: {found.text}.", hint=found.hint)
    opened = list(JobRun.objects.filter(job=job, finished_at=None).order_by("-number")[: rules.OF_A_JOB])
    if len(opened) >= (rules.OF_A_JOB if job.overlap == "allow" else 1):
        number = opened[0].number
        raise ConflictError(f"Run {number} of {name} has not ended.", hint=f"greenroom jobs:log {number} -a {app.name}")
    row = _write(job, app, "user", clock.now(), actor=actor)
    audit(actor=actor, action="job.run", app=app, detail={"job": name, "run": row.number})
    wake()
    return row


@transaction.atomic
def begin(*, run_id: UUID, home: Path) -> bool:
    """Write the dyno of a waiting run if it may start; else wait, or give it up. True if there is a dyno to start."""
    app = lock_app(JobRun.objects.values_list("app_id", flat=True).get(pk=run_id))
    run = JobRun.objects.select_for_update(no_key=True).get(pk=run_id)
    if run.state != "waiting":
        return False
    job = Job.objects.get(pk=run.job_id)
    ended = "removed" if job.ended_at else "paused" if job.paused_at and run.trigger != "user" else ""
    obstacle = queries.obstacle(app).reason
    step = ended or rules.start(_facts(run, job, obstacle))
    if step == "start":
        _begin(run, job, app, home)
        return True
    if step == "wait":
        run.reason, run.look_at = obstacle, clock.now() + rules.AGAIN
        run.save(update_fields=["reason", "look_at", "updated_at"])
        return False
    run.state, run.reason, run.detail = "skipped" if ended else "missed", step, rules.REASONS[step]
    run.finished_at = clock.now()
    run.save(update_fields=["state", "reason", "detail", "finished_at", "updated_at"])
    text = f"The job {job.name} {_word(run.state)} 1 run: {run.detail}."
    transaction.on_commit(partial(say, app=app, home=home, process=SCHEDULER, text=text))
    return False


def _facts(run: JobRun, job: Job, obstacle: str) -> rules.Waiting:
    rows = JobRun.objects.filter(finished_at=None, state="running")
    return rules.Waiting(
        obstacle=obstacle,
        kept=run.trigger == "catch_up" and job.catch_up,
        age=clock.now() - run.created_at,
        overdue=clock.now() - (run.look_at or run.created_at),
        overlap=job.overlap,
        running=rows.filter(job=job).count(),
        of_app=rows.filter(app_id=run.app_id).count(),
        of_all=rows.count(),
    )


def _begin(run: JobRun, job: Job, app: App, home: Path) -> None:
    """The dyno's row and the start that the worker owes it, in the transaction that marks the run as running."""
    live = dyno_queries.live(app)
    assert live is not None, "an app without a live release has an obstacle"
    limit = rules.limit(job.minutes, _interval(job))
    dyno = dynos.make_one_off(
        actor=PLATFORM, app=app, release=live.release, command=job.command, size=job.size, kind=SCHEDULER
    )
    planned_starts.plan(dyno=dyno, options=StartOptions(seconds=limit.total_seconds()), home=home)
    run.state, run.reason, run.dyno, run.dyno_name = "running", "", dyno, dyno.name
    run.command, run.release, run.started_at = job.command, live.release, clock.now()
    run.save()
    text = f"Run {run.number} of the job {job.name}, planned for {clock.heroku_time(run.planned_at)}"
    transaction.on_commit(partial(say, app=app, home=home, process=dyno.name, text=text))


def _interval(job: Job) -> timedelta | None:
    try:
        return schedules.interval(job.schedule, job.time_zone, clock.now())
    except ValueError:
        return None


@transaction.atomic
def conclude(*, run: JobRun, home: Path) -> None:
    """Record the end of the run's dyno."""
    dyno = run.dyno
    row = JobRun.objects.select_for_update(no_key=True).select_related("job", "app").get(pk=run.pk)
    if row.finished_at is not None:
        return
    good = dyno is not None and dyno.exit_code == 0 and dyno.exit_reason == "exit"
    row.state = "succeeded" if good else "failed"
    row.reason = "" if good else (dyno.exit_reason if dyno else "lost")
    row.finished_at = dyno.finished_at if dyno else clock.now()
    if dyno is not None:
        row.exit_code, row.last_lines = dyno.exit_code, rules.last_lines(dyno.last_words)
        row.detail = "" if good else _ending(dyno)
    row.save()
    if not good:
        text = f"The job {row.job.name}, run {row.number}, failed: {row.detail or 'its dyno was lost'}"
        transaction.on_commit(partial(say, app=row.app, home=home, process=row.dyno_name, text=text))
    JobRun.objects.filter(job=row.job, state="waiting").update(look_at=clock.now())
    _forget(list(JobRun.objects.filter(job=row.job).order_by("-number")[rules.KEPT_RUNS :]))


def _ending(dyno: Dyno) -> str:
    if dyno.exit_reason == "lost":
        return "its dyno was lost: Greenroom or the machine was stopped"
    return "it was stopped" if dyno.exit_reason == "asked" else dyno.health_detail


def _forget(rows: Sequence[JobRun]) -> int:
    """Delete ended runs and the rows of their dynos."""
    old = [row for row in rows if row.finished_at is not None]
    gone = [row.dyno_id for row in old if row.dyno_id is not None]
    JobRun.objects.filter(pk__in=[row.pk for row in old]).delete()
    dynos.forget_one_offs(ids=gone)
    return len(old)


@transaction.atomic
def forget_old(*, most: int = 500) -> int:
    """Delete the runs and the ended jobs that are older than ``rules.KEPT``. Returns the number of runs."""
    limit = clock.now() - rules.KEPT
    count = _forget(list(JobRun.objects.filter(created_at__lt=limit).order_by("created_at")[:most]))
    opened = JobRun.objects.filter(job=OuterRef("pk"), finished_at=None)
    Job.objects.filter(~Exists(opened), ended_at__lt=limit).delete()
    return count
