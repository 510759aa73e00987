"""Reads webhooks, and the objects of an app whose states cause events: releases, builds, dynos and migration states."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from greenroom.accounts.models import Account
from greenroom.app_migrations.models import MigrationState
from greenroom.apps.models import App
from greenroom.basics.clock import heroku_time
from greenroom.basics.errors import NotFoundError
from greenroom.basics.ids import is_uuid
from greenroom.builds.models import Build
from greenroom.dynos.models import Dyno
from greenroom.jobs.models import JobRun
from greenroom.releases.models import Release
from greenroom.webhooks.models import Event, Webhook, WebhookDelivery

NEWEST = 200
"""Number of objects of each kind that are read: state changes of older ones cause no event."""


@dataclass(frozen=True)
class Thing:
    """One release, build or dyno in its present state, in the form that receivers get."""

    include: str
    id: str
    state: str
    data: dict[str, Any] = field(compare=False)
    account: Account | None = field(default=None, compare=False)

    @property
    def key(self) -> str:
        """KIND/ID/STATE."""
        return f"{self.include}/{self.id}/{self.state}"


def things(app: App) -> list[Thing]:
    """The newest releases, builds and dynos of the app, oldest first."""
    found = [
        _release(row, app)
        for row in Release.objects.filter(app=app).select_related("slug", "account").order_by("-created_at")[:NEWEST]
    ]
    found += [
        _build(row, app)
        for row in Build.objects.filter(app=app).select_related("account").order_by("-created_at")[:NEWEST]
    ]
    dynos = (
        Dyno.objects.filter(app=app, kind__in=("web", "worker", "run"))
        .select_related("release", "account")
        .order_by("-created_at")[:NEWEST]
    )
    states = (
        MigrationState.objects.filter(app=app, status__in=("ok", "error"))
        .select_related("release")
        .order_by("-pk")[:NEWEST]
    )
    runs = JobRun.objects.filter(app=app).exclude(state="waiting").select_related("job", "account")
    found += [_job_run(row, app) for row in runs.order_by("-number")[:NEWEST]]
    return [*found, *(_dyno(row, app) for row in dynos), *(_migrations(row, app) for row in states)][::-1]


def _job_run(row: JobRun, app: App) -> Thing:
    """A run of a job: running, succeeded, failed, missed or skipped. Without its output, which may contain secrets."""
    data = {
        "id": str(row.pk),
        "app": {"id": str(app.pk), "name": app.name},
        "job": {"name": row.job.name, "schedule": row.job.schedule, "time_zone": row.job.time_zone},
        "number": row.number,
        "state": row.state,
        "detail": row.detail,
        "count": row.count,
        "planned_at": heroku_time(row.planned_at),
        "dyno": row.dyno_name or None,
        "exit_status": row.exit_code,
    }
    return Thing("jobs", str(row.pk), row.state, data, row.account)


def _migrations(row: MigrationState, app: App) -> Thing:
    """The migration state of a release; each change is a new state."""
    known = {
        "status": row.status,
        "pending": row.pending,
        "missing": row.missing,
        "conflicts": row.conflicts,
        "unmade": row.unmade,
    }
    digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]
    data = {
        "id": str(row.release_id),
        "app": {"id": str(app.pk), "name": app.name},
        "release": {"version": row.release.version},
        "detail": row.detail,
    }
    return Thing("migrations", str(row.release_id), digest, {**data, **known})


def _release(row: Release, app: App) -> Thing:
    data = {
        "version": row.version,
        "description": row.description,
        "status": row.status,
        "slug": {"id": str(row.slug_id)} if row.slug_id else None,
        "commit": row.slug.commit if row.slug else None,
    }
    return Thing("api:release", str(row.pk), row.status, _common(row, app) | data, row.account)


def _build(row: Build, app: App) -> Thing:
    data = {
        "status": row.status,
        "source_blob": {"version": row.commit},
        "slug": {"id": str(row.slug_id)} if row.slug_id else None,
    }
    return Thing("api:build", str(row.pk), row.status, _common(row, app) | data, row.account)


def _dyno(row: Dyno, app: App) -> Thing:
    release = {"id": str(row.release_id), "version": row.release.version}
    data = {
        "name": row.name,
        "type": row.type,
        "size": row.size,
        "state": row.state,
        "exit_status": row.exit_code,
        "release": release,
    }
    return Thing("dyno", str(row.pk), row.state, _common(row, app) | data, row.account)


def _common(row: Release | Build | Dyno, app: App) -> dict[str, Any]:
    times = {"created_at": heroku_time(row.created_at), "updated_at": heroku_time(row.updated_at)}
    user = {"id": str(row.account.pk), "email": row.account.email} if row.account else None
    return {"id": str(row.pk), "app": {"id": str(app.pk), "name": app.name}, "user": user, **times}


def webhook(app: App, id: str) -> Webhook:
    """The app's webhook of that id; NotFoundError if there is none."""
    row = Webhook.objects.select_related("app").filter(app=app, pk=id).first() if is_uuid(id) else None
    if row is None:
        raise NotFoundError("Couldn't find that webhook.", hint=f"heroku webhooks -a {app.name}", resource="webhook")
    return row


def delivery(app: App, id: str) -> WebhookDelivery:
    """The app's webhook delivery of that id; NotFoundError if there is none."""
    rows = WebhookDelivery.objects.select_related("event", "webhook")
    row = rows.filter(webhook__app=app, pk=id).first() if is_uuid(id) else None
    if row is None:
        raise NotFoundError("Couldn't find that webhook delivery.", resource="webhook_delivery")
    return row


def event(app: App, id: str) -> Event:
    """The app's event of that id; NotFoundError if there is none."""
    row = Event.objects.filter(app=app, pk=id).first() if is_uuid(id) else None
    if row is None:
        raise NotFoundError("Couldn't find that webhook event.", resource="webhook_event")
    return row
