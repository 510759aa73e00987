"""Adds, changes and ends jobs: those that users add, and those of the live release's greenroom.toml."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.apps.actions import lock_app
from greenroom.apps.actions.worker import wake
from greenroom.apps.models import App
from greenroom.basics import clock, schedules
from greenroom.basics.errors import ConflictError, UserError
from greenroom.buildpacks.rules import job_settings
from greenroom.buildpacks.rules.job_settings import JobError
from greenroom.jobs import queries
from greenroom.jobs.models import Job
from greenroom.releases.models import Release

FILE, USER = "file", "user"


def _planned(schedule: str, time_zone: str, now: datetime) -> datetime | None:
    """The next planned moment; None without one, or if this machine no longer knows the time zone."""
    try:
        return schedules.after(schedule, time_zone, now)
    except ValueError:
        return None


@transaction.atomic
def add(*, actor: Actor, app: App, name: str, given: Mapping[str, Any]) -> Job:
    """Add a job. UserError for an invalid value; ConflictError for a taken name, or with too many jobs."""
    try:
        wanted = job_settings.job(name, given)
    except JobError as error:
        text = f"{error.key}: {error.problem}." if error.key else f"{error.problem[0].upper()}{error.problem[1:]}."
        hint = error.hint.replace("APP", app.name) or "greenroom help jobs:add"
        raise UserError(text, hint=hint) from error
    lock_app(app.pk)
    present = {row.name: row for row in queries.of_app(app)}
    if name in present:
        remedy = {
            FILE: "change it in greenroom.toml and push",
            USER: f"greenroom jobs:remove {name} -a {app.name}",
        }
        raise ConflictError(f"{app.name} already has a job {name}.", hint=remedy[present[name].origin])
    if len(present) >= job_settings.MOST:
        raise ConflictError(
            f"{app.name} has {job_settings.MOST} jobs, the maximum.", hint=f"greenroom jobs -a {app.name}"
        )
    row = _write(app, name, {**wanted, "origin": USER, "account_id": actor.account_id})
    audit(
        actor=actor,
        action="job.add",
        app=app,
        detail={"job": name, "schedule": row.schedule, "command": row.command[:500]},
    )
    wake()
    return row


def _write(app: App, name: str, wanted: Mapping[str, Any]) -> Job:
    """Create the job, or replace one that has ended. It is not paused."""
    now = clock.now()
    row, _ = Job.objects.update_or_create(
        app=app,
        name=name,
        defaults={
            **wanted,
            "next_at": _planned(wanted["schedule"], wanted["time_zone"], now),
            "paused_at": None,
            "paused_by": "",
            "ended_at": None,
        },
    )
    return row


@transaction.atomic
def remove(*, actor: Actor, app: App, name: str) -> Job:
    """End a job that a user added; its runs remain for a while. ConflictError for a job of greenroom.toml."""
    lock_app(app.pk)
    row = queries.job(app, name)
    if row.origin == FILE:
        raise ConflictError(
            f"{name} is declared in greenroom.toml: remove [jobs.{name}] there and push.",
            hint=f"until then: greenroom jobs:pause {name} -a {app.name}",
        )
    _end(row)
    audit(actor=actor, action="job.remove", app=app, detail={"job": name})
    wake()
    return row


def _end(row: Job) -> None:
    row.ended_at, row.next_at = clock.now(), None
    row.save(update_fields=["ended_at", "next_at", "updated_at"])


@transaction.atomic
def pause(*, actor: Actor, app: App, name: str) -> Job:
    """Start no runs of the job until ``resume``. A running one continues. Repeatable."""
    lock_app(app.pk)
    row = queries.job(app, name)
    if row.paused_at is None:
        row.paused_at, row.paused_by, row.next_at = clock.now(), actor.email, None
        row.save(update_fields=["paused_at", "paused_by", "next_at", "updated_at"])
        audit(actor=actor, action="job.pause", app=app, detail={"job": name})
        wake()
    return row


@transaction.atomic
def resume(*, actor: Actor, app: App, name: str) -> Job:
    """End a pause. The moments in the pause are not caught up. Repeatable."""
    lock_app(app.pk)
    row = queries.job(app, name)
    if row.paused_at is not None:
        row.paused_at, row.paused_by = None, ""
        row.next_at = _planned(row.schedule, row.time_zone, clock.now())
        row.save(update_fields=["paused_at", "paused_by", "next_at", "updated_at"])
        audit(actor=actor, action="job.resume", app=app, detail={"job": name})
        wake()
    return row


@transaction.atomic
def take_in(*, app: App, release: Release) -> list[str]:
    """Make the jobs of greenroom.toml of a release that goes live the app's jobs; returns lines about the changes.

    Jobs of users remain, unless the file declares one of the same name. A pause remains. Repeatable.
    """
    wanted = dict(release.slug.settings.get("jobs") or {}) if release.slug else {}
    if not wanted and not Job.objects.filter(app=app, origin=FILE, ended_at=None).exists():
        return []
    lock_app(app.pk)
    present = {row.name: row for row in queries.of_app(app)}
    lines = []
    for name, row in present.items():
        if row.origin == FILE and name not in wanted:
            _end(row)
            lines.append(f"the job {name} has ended: greenroom.toml no longer declares it")
    for name, settings in wanted.items():
        now = present.get(name)
        if now is None:
            _write(app, name, {**settings, "origin": FILE, "account_id": None})
            lines.append(f"the job {name}: {settings['schedule']} ({settings['time_zone']})")
        elif _change(now, settings):
            lines.append(f"the job {name} has changed: {settings['schedule']} ({settings['time_zone']})")
    if lines:
        wake()
    return lines


def _change(row: Job, settings: Mapping[str, Any]) -> bool:
    """Apply the file's settings to a present job. Whether there was a change."""
    found = {**settings, "origin": FILE}
    changed = [key for key, value in found.items() if getattr(row, key) != value]
    for key in changed:
        setattr(row, key, found[key])
    if {"schedule", "time_zone"} & set(changed) and row.paused_at is None:
        row.next_at = _planned(row.schedule, row.time_zone, clock.now())
        changed.append("next_at")
    if changed:
        row.save(update_fields=[*changed, "updated_at"])
    return bool(changed)
