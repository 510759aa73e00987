"""Writes reports to an app's forge: the wanted ones, each attempt, and its result."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import Q

from greenroom.basics import clock
from greenroom.checks import queries as checks
from greenroom.deliveries.models import Delivery
from greenroom.outbox import Outbox
from greenroom.sources import forges
from greenroom.sources.models import Report, Source
from greenroom.sources.rules import reports

RECENT = timedelta(days=1)
LOOK_BACK = 20
PER_TURN = 20
OUTBOX = Outbox(
    model=Report, due="next_at", attempts="attempts", lease=timedelta(minutes=1), waiting=Q(status="pending")
)


@transaction.atomic
def note_wanted(*, source: Source) -> None:
    """Create reports of the states of the newest deliveries that the forge has not received yet."""
    if not Source.objects.select_for_update(no_key=True).filter(pk=source.pk).exists():
        return
    rows = Delivery.objects.filter(
        app=source.app, kind="push", push__origin=source.url, created_at__gte=source.created_at
    )
    rows = rows.filter(Q(finished_at=None) | Q(updated_at__gte=clock.now() - RECENT)).select_related("release")
    for delivery in rows.order_by("-seq")[:LOOK_BACK]:
        last = {
            (row.kind, row.context): row
            for row in Report.objects.filter(source=source, delivery=delivery).order_by("id")
        }
        for told in _wanted(source, delivery):
            before = last.get((told.kind, told.context))
            if before is None or before.state != told.state:
                _write(source, delivery, told, before)


def _write(source: Source, delivery: Delivery, told: reports.Told, before: Report | None) -> None:
    if before and before.status == "pending":
        Report.objects.filter(pk=before.pk, status="pending").update(status="dropped")
    Report.objects.create(
        source=source,
        delivery=delivery,
        kind=told.kind,
        context=told.context,
        state=told.state,
        description=told.description,
    )


def _wanted(source: Source, delivery: Delivery) -> list[reports.Told]:
    api = forges.find(source.kind).api
    if api is None:
        return []
    runs = [run for run in checks.latest(source.app, delivery.sha) if run.builtin and run.name in ("tests", "scan")]
    return reports.wanted(
        app=source.app.name,
        state=delivery.state,
        reason=delivery.reason,
        version=delivery.release.version if delivery.release else None,
        checks=[
            reports.Check(name=run.name, status=run.status, conclusion=run.conclusion, title=run.title) for run in runs
        ],
        deployments=api.deployments is not None,
    )


def claim() -> list[Report]:
    """Claim due reports, in order of creation."""
    rows = OUTBOX.rows().select_related("source__app", "delivery").order_by("id")
    return OUTBOX.claim(rows, limit=PER_TURN)


@transaction.atomic
def note_number(*, row: Report, number: str) -> None:
    """Store the forge's deployment id for the delivery's next report."""
    Report.objects.filter(pk=row.pk).update(remote=number)


def conclude(*, row: Report, code: int | None, error: str) -> None:
    """Store the result of the claimed attempt and the time of the next one."""
    wait = reports.pause(code, row.attempts) if error else None
    status = "sent" if not error else "failed" if wait is None else "pending"
    OUTBOX.conclude(row, wait=wait, status=status, code=code, error=error[:300])
