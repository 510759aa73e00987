"""Reads sources: by app, by webhook path, and the due ones."""

from __future__ import annotations

import re
from datetime import datetime

from django.db.models import QuerySet

from greenroom.apps.models import App
from greenroom.basics.errors import NotFoundError
from greenroom.git.rules import Refusal, Update, called, is_protected
from greenroom.sources import forges
from greenroom.sources.models import HookCall, Report, Source

HOOK = re.compile(r"[0-9a-f]{48}\Z")


def find(app: App) -> Source | None:
    """The app's source, or None."""
    return Source.objects.select_related("app", "account", "accepted_by").filter(app=app).first()


def of_app(app: App) -> Source:
    """The app's source. NotFoundError if it has none."""
    row = find(app)
    if row is None:
        hint = f"greenroom source:set https://github.com/TEAM/REPO.git --branch master -a {app.name}"
        raise NotFoundError(f"{app.name} has no source: it is deployed by git push.", hint=hint, resource="source")
    return row


def of_hook(name: str) -> Source | None:
    """The source of a webhook path, or None."""
    return Source.objects.select_related("app").filter(hook=name).first() if HOOK.match(name) else None


def due(now: datetime) -> QuerySet[Source]:
    """Sources that are due, longest wait first."""
    return Source.objects.filter(next_at__lte=now).order_by("next_at")


def calls(source: Source, limit: int = 10) -> list[HookCall]:
    """The newest calls of the webhook."""
    return list(source.calls.order_by("-id")[:limit])


def reports(source: Source, limit: int = 10) -> list[Report]:
    """The newest reports to the forge."""
    return list(source.reports.select_related("delivery").exclude(status="dropped").order_by("-id")[:limit])


def push_refusals(app: App, updates: list[Update]) -> list[Refusal]:
    """Refusals of pushes to the protected branch of an app that follows a source; empty if there are none."""
    if not any(is_protected(update.ref, app.protected_branch) for update in updates):
        return []
    source = Source.objects.filter(app=app).first()
    if source is None:
        return []
    message = (
        f"{called(app.protected_branch)} of {app.name} follows {source.branch} of {source.url}; it is not pushed to"
        " here."
    )
    hint = f"git push {source.url} HEAD:{source.branch}   (to end that: greenroom source:unset -a {app.name})"
    return [Refusal(message=message, hint=hint)]


def that_report() -> list[Source]:
    """Sources whose forge has an API and whose token can be used for reports."""
    rows = Source.objects.exclude(api="").exclude(token=b"").filter(kind__in=forges.with_api())
    return list(rows.select_related("app"))


def deployment_number(report: Report) -> str:
    """The forge's deployment id of the report's delivery; empty until it exists."""
    rows = Report.objects.filter(source=report.source, delivery=report.delivery, kind="deployment")
    return rows.exclude(remote="").values_list("remote", flat=True).first() or ""
