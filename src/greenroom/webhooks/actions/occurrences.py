"""Records what people may be told of as events, each once, with a delivery for every webhook and notification of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import transaction

from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.webhooks.models import Cursor, Event, Notification, Webhook, WebhookDelivery
from greenroom.webhooks.queries import notices
from greenroom.webhooks.queries.notices import Occurrence

STEP = timedelta(seconds=30)
"""How far the cursor stays behind what is settled, so that an idle installation rarely writes it."""


def payload(*, include: str, action: str, data: Mapping[str, Any], actor: Mapping[str, str]) -> dict[str, Any]:
    """An event in Heroku's format."""
    return {
        "action": action,
        "actor": dict(actor),
        "data": dict(data),
        "previous_data": {},
        "resource": include.removeprefix("api:"),
        "version": "application/vnd.heroku+json; version=3",
        "published_at": clock.heroku_time(clock.now()),
        "sequence": None,
    }


def webhooks(app: App, include: str, at: datetime) -> list[Webhook]:
    """The app's webhooks that subscribe to a kind and are older than ``at``."""
    return [row for row in Webhook.objects.filter(app=app, created_at__lte=at) if include in row.include]


@transaction.atomic
def record(it: Occurrence) -> Event | None:
    """An event with its deliveries; None if nobody wants it, or if it is recorded already."""
    people = list(notices.targets(it.app, it.notice.event, it.at))
    hooks = webhooks(it.app, it.include, it.at) if it.app else []
    if not people and not hooks:
        return None
    app = {"app": {"id": str(it.app.pk), "name": it.app.name}} if it.app else {}
    told = {"event": it.notice.event, "subject": it.notice.subject, "text": it.notice.text}
    body = payload(include=it.include, action="update", data={**app, **it.data, **told}, actor=it.actor)
    event, new = Event.objects.get_or_create(
        key=it.key, defaults={"app": it.app, "include": it.include, "payload": body}
    )
    if not new:
        return None
    send(event, hooks, people)
    return event


def send(event: Event, hooks: Sequence[Webhook], people: Sequence[Notification] = ()) -> None:
    """Write a delivery of the event, due now, for each webhook and each notification."""
    now = clock.now()
    rows = [WebhookDelivery(webhook=hook, event=event, next_attempt_at=now) for hook in hooks]
    rows += [WebhookDelivery(notification=row, event=event, next_attempt_at=now) for row in people]
    WebhookDelivery.objects.bulk_create(rows)


def look_at_deliveries(home: Path, installation: Mapping[str, Any]) -> None:
    """Record what the deliveries of all apps have come to since the last look."""
    cursor, settled = Cursor.objects.get(pk=1), clock.now() - notices.SETTLED
    since = cursor.deliveries_at or settled
    rows = notices.changed_deliveries(since)
    keys = {row.pk: notices.key_of(row)[0] for row in rows}
    known = set(Event.objects.filter(key__in=[key for key in keys.values() if key]).values_list("key", flat=True))
    for row in rows:
        if keys[row.pk] and keys[row.pk] not in known:
            record(notices.of_delivery(row, home, installation))
    full = len(rows) >= notices.MOST  # there are more
    until = rows[-1].updated_at if full else max(since, settled)
    if full or cursor.deliveries_at is None or until - since > STEP:
        Cursor.objects.filter(pk=cursor.pk).update(deliveries_at=until)


def look_at_the_rest(home: Path, since: datetime) -> None:
    """Record dynos that crash again and again since a time, certificates that end, a low disk, and failed backups."""
    now = clock.now()
    found = [
        *notices.crashing(since, home),
        *notices.ending_certificates(now),
        *notices.low_disk(home, now),
        *notices.failed_backup(home, now),
    ]
    known = set(Event.objects.filter(key__in=[it.key for it in found]).values_list("key", flat=True))
    for it in found:
        if it.key not in known:
            record(it)
