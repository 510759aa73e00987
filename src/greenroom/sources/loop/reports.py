"""Tells an app's forge what becomes of the commits that it had from there: statuses and deployments, from rows, and
retried.

A row stands before its request, and its attempt is counted before it is sent: after a kill it is sent again, which
changes nothing for a
status, and for a deployment the one that may have been made is looked for first.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import Q

from greenroom.apps import queries as apps
from greenroom.basics import clock, outgoing
from greenroom.basics.errors import GreenroomError
from greenroom.basics.guard import Guard
from greenroom.checks import queries as checks
from greenroom.deliveries.models import Delivery
from greenroom.sources import rules
from greenroom.sources.drivers.connection import judged, opened
from greenroom.sources.models import Report, Source
from greenroom.sources.rules import reports

log = logging.getLogger(__name__)
RECENT = timedelta(days=1)
LOOK_BACK = 20
LEASE = timedelta(minutes=1)
PER_TURN = 20


class ReportTurn:
    """Called by the worker every second. allowed: networks beside the public ones that may be told."""

    def __init__(self, home: Path, installation: dict[str, Any], allowed: Sequence[outgoing.Network] = ()) -> None:
        self.home, self.installation, self.allowed = home, installation, allowed
        self.guard = Guard(log)

    def turn(self) -> bool:
        """Whether there is more to do at once."""
        for source in Source.objects.exclude(api="").exclude(token=b"").select_related("app"):
            self.guard.run(source.pk, f"the reports of {source.app.name}", partial(note_wanted, source))
        rows = claim()
        for row in rows:
            try:
                self.send(row)
            except (GreenroomError, outgoing.OutgoingError) as error:
                conclude(row, None, str(error))
            except Exception:
                log.exception("the forge of %s could not be told", row.source.app.name)
                conclude(row, None, "Greenroom failed; its log says why")
        return bool(rows)

    def send(self, row: Report) -> None:
        """One attempt of a claimed report, and how it ended."""
        source = row.source
        place = rules.place_of(source.url)
        assert isinstance(place, rules.Place)
        told = reports.Told(kind=row.kind, context=row.context, state=row.state, description=row.description)
        if row.kind == "deployment":
            number = self._deployment(row, place.path)
            if not number:
                return
            web_url = apps.web_url(source.app, self.installation)
            answer = self._ask(source, reports.deployment_status(source.api, place.path, number, told, web_url))
        else:
            answer = self._ask(
                source, reports.status_request(source.kind, source.api, place.path, row.delivery.sha, told)
            )
        conclude(row, answer.status, "" if reports.settled(source.kind, answer.status, answer.body) else said(answer))

    def _deployment(self, row: Report, repo: str) -> str:
        """The number of the delivery's deployment, which is made if there is none; empty when that failed, and it is
        noted.
        """
        source, delivery = row.source, row.delivery
        known = Report.objects.filter(source=source, delivery=delivery, kind="deployment").exclude(remote="").first()
        number = known.remote if known else ""
        if not number and row.attempts > 1:
            found = self._ask(source, reports.find_deployment(source.api, repo, delivery.sha, row.context))
            number = reports.own_deployment(parsed(found), str(delivery.pk)) if found.status == 200 else ""
        if not number:
            answer = self._ask(
                source, reports.make_deployment(source.api, repo, delivery.sha, row.context, str(delivery.pk))
            )
            number = reports.number_of(parsed(answer)) if answer.status == 201 else ""
            if not number:
                conclude(row, answer.status, said(answer))
                return ""
        Report.objects.filter(pk=row.pk).update(remote=number)
        return number

    def _ask(self, source: Source, request: reports.Request) -> outgoing.Answer:
        parts = urlsplit(request.url)
        judged(parts.scheme, parts.hostname or "", outgoing.port_of(parts), self.allowed)
        headers = reports.headers_of(source.kind, opened(source, "token", self.home))
        return outgoing.request(request.method, request.url, request.data, headers, allowed=self.allowed)


def parsed(answer: outgoing.Answer) -> Any:
    """The answer's JSON, None if it is none."""
    try:
        return json.loads(answer.body)
    except ValueError:
        return None


def said(answer: outgoing.Answer) -> str:
    """A refusal in the forge's own words, as far as it has any."""
    data = parsed(answer)
    text = data.get("message") if isinstance(data, dict) else ""
    return reports.short(f"{answer.status} {text if isinstance(text, str) else ''}")


@transaction.atomic
def note_wanted(source: Source) -> None:
    """Write a report for each thing that the forge does not know yet of the newest deliveries of its commits."""
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
    runs = [run for run in checks.latest(source.app, delivery.sha) if run.builtin and run.name in ("tests", "scan")]
    return reports.wanted(
        app=source.app.name,
        state=delivery.state,
        reason=delivery.reason,
        version=delivery.release.version if delivery.release else None,
        checks=[
            reports.Check(name=run.name, status=run.status, conclusion=run.conclusion, title=run.title) for run in runs
        ],
        deployments=source.kind == "github",
    )


@transaction.atomic
def claim() -> list[Report]:
    """Reports that are due, in order, with their attempt counted and a lease that outlives the request."""
    now = clock.now()
    rows = Report.objects.filter(Q(next_at__lte=now) | Q(next_at=None), status="pending").select_related(
        "source__app", "delivery"
    )
    taken = list(rows.select_for_update(no_key=True, skip_locked=True, of=("self",)).order_by("id")[:PER_TURN])
    for row in taken:
        row.attempts, row.next_at = row.attempts + 1, now + LEASE
        row.save(update_fields=["attempts", "next_at", "updated_at"])
    return taken


def conclude(row: Report, code: int | None, error: str) -> None:
    """Write how an attempt ended, and when the next one is due."""
    wait = reports.pause(code, row.attempts) if error else None
    status = "sent" if not error else "failed" if wait is None else "pending"
    at = clock.now() + timedelta(seconds=wait) if wait is not None else None
    Report.objects.filter(pk=row.pk, status="pending").update(
        status=status, code=code, error=error[:300], next_at=at, updated_at=clock.now()
    )
