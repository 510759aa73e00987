"""Reads jobs and their runs, what is due, and what keeps an app's jobs from running."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from greenroom.app_migrations.models import MigrationRun
from greenroom.apps.models import App
from greenroom.basics.errors import NotFoundError
from greenroom.dynos import queries as dynos
from greenroom.jobs.models import Job, JobRun
from greenroom.jobs.rules import Facts

BATCH = 50


@dataclass(frozen=True)
class Obstacle:
    """Why an app's jobs do not run at the moment: a key of ``rules.REASONS``, a text and a hint. Empty: they run."""

    reason: str = ""
    text: str = ""
    hint: str = ""


def obstacle(app: App) -> Obstacle:
    """The reason why the app's jobs cannot run now."""
    flags = f" -a {app.name}"
    live = dynos.live(app)
    if live is None or live.release.slug is None:
        return Obstacle("release", f"{app.name} has no live release", f"greenroom releases{flags}")
    if app.maintenance:
        return Obstacle("maintenance", f"{app.name} is in maintenance mode", f"greenroom maintenance:off{flags}")
    held = dynos.held(app)
    if held is not None:
        text = f"v{held.release.version} is held for its migrations"
        return Obstacle("migration", text, f"greenroom migrations{flags}")
    if MigrationRun.objects.filter(app=app, exit_code=None).exists():
        return Obstacle("migration", "a migration is running", f"greenroom migrations{flags}")
    return Obstacle()


def due(now: datetime) -> list[UUID]:
    """The jobs whose planned moment has come, the earliest first."""
    rows = Job.objects.filter(next_at__lte=now).order_by("next_at", "created_at")
    return list(rows.values_list("pk", flat=True)[:BATCH])


def next_moment() -> datetime | None:
    """The earliest planned moment of all jobs."""
    rows = Job.objects.filter(next_at__isnull=False).order_by("next_at")
    return rows.values_list("next_at", flat=True).first()


def next_look() -> datetime | None:
    """When to look at a waiting run again."""
    rows = JobRun.objects.filter(finished_at=None, state="waiting").order_by("look_at")
    return rows.values_list("look_at", flat=True).first()


def waiting(now: datetime) -> QuerySet[JobRun]:
    """The waiting runs to look at, the longest waiting first."""
    rows = JobRun.objects.filter(finished_at=None, state="waiting", look_at__lte=now).select_related("app")
    return rows.order_by("look_at", "created_at")[:BATCH]


def running() -> QuerySet[JobRun]:
    """The runs that have a dyno and have not ended."""
    rows = JobRun.objects.filter(finished_at=None, state="running").select_related("app", "job", "dyno__app")
    return rows.select_related("dyno__release__slug", "dyno__release__config", "dyno__planned_start")


def facts(job: Job, reason: str) -> Facts:
    """The facts about a planned moment of the job."""
    rows = JobRun.objects.filter(job=job, finished_at=None)
    count = rows.aggregate(
        running=Count("pk", filter=Q(state="running")), waiting=Count("pk", filter=Q(state="waiting"))
    )
    return Facts(
        obstacle=reason,
        running=count["running"],
        waiting=count["waiting"],
        overlap=job.overlap,
        catch_up=job.catch_up,
    )


def of_app(app: App) -> QuerySet[Job]:
    """The app's jobs, by name."""
    return Job.objects.filter(app=app, ended_at=None).select_related("app", "account").order_by("name")


def job(app: App, name: str) -> Job:
    """The app's job of that name. NotFoundError if there is none."""
    row = of_app(app).filter(name=name).first()
    if row is None:
        raise NotFoundError(
            f"Couldn't find the job {name[:60]!r}.", hint=f"greenroom jobs -a {app.name}", resource="job"
        )
    return row


def runs(app: App, name: str = "") -> QuerySet[JobRun]:
    """The app's runs, or those of one job, which may have ended; newest first."""
    rows = JobRun.objects.filter(app=app).select_related("app", "job", "release", "account")
    if name:
        rows = rows.filter(job__name=name)
        if not Job.objects.filter(app=app, name=name).exists():
            job(app, name)
    return rows.order_by("-number")


def run(app: App, number: str) -> JobRun:
    """The app's run of that number. NotFoundError if there is none."""
    rows = runs(app)
    row = rows.filter(number=int(number)).first() if number.isdecimal() and len(number) < 9 else None
    if row is None:
        hint = f"greenroom jobs:runs -a {app.name}"
        raise NotFoundError(f"Couldn't find the run {number[:20]!r}.", hint=hint, resource="job_run")
    return row


def newest_runs(jobs: Iterable[Job]) -> dict[UUID, JobRun]:
    """Job -> its newest run, with one query."""
    rows = JobRun.objects.filter(job__in=list(jobs)).select_related("app", "job", "release", "account")
    return {row.job_id: row for row in rows.order_by("job_id", "-number").distinct("job_id")}
