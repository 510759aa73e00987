"""Writes events, each with a delivery for every webhook that subscribes to its kind.

Events come from rows: the audit log after a cursor (its ids are in commit order), and the states of releases, builds,
dynos and migrations.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Max

from greenroom.accounts.models import AuditEntry
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.basics.guard import Guard
from greenroom.webhooks import queries, rules
from greenroom.webhooks.actions import occurrences
from greenroom.webhooks.models import Cursor, Event, Seen
from greenroom.webhooks.queries import notices

guard = Guard(logging.getLogger(__name__))
BATCH = 500
KEPT = timedelta(days=30)


@transaction.atomic
def read_audit() -> None:
    """Write the audit rows after the cursor as events; the first time, only set the cursor."""
    if not Cursor.objects.exists():
        top = AuditEntry.objects.aggregate(top=Max("id"))["top"] or 0
        Cursor.objects.get_or_create(pk=1, defaults={"position": top})
    cursor = Cursor.objects.select_for_update(no_key=True).get(pk=1)
    rows = list(AuditEntry.objects.filter(id__gt=cursor.position).order_by("id")[:BATCH])
    for entry in rows:
        guard.run(entry.pk, f"audit entry {entry.pk}", partial(_record_entry, entry))
    if rows:
        Cursor.objects.filter(pk=cursor.pk).update(position=rows[-1].pk)


@transaction.atomic
def _record_entry(entry: AuditEntry) -> None:
    """An entry that fails is skipped, so that it does not block later ones."""
    told = entry.action in rules.AUDITED or entry.action == rules.LIMITED
    app = App.objects.filter(pk=entry.app_id).first() if entry.app_id and told else None
    if app is None:
        return
    if entry.action == rules.LIMITED:
        occurrences.record(notices.of_limit(app, str(entry.pk), entry.at, entry.detail))
        return
    include, action = rules.AUDITED[entry.action]
    data = {
        "app": {"id": str(app.pk), "name": app.name},
        **({"id": str(app.pk), "name": app.name} if include == "api:app" else {}),
        **entry.detail,
    }
    actor = {"id": str(entry.account_id) if entry.account_id else "", "email": entry.actor}
    record(app=app, include=include, action=action, data=data, actor=actor, at=entry.at)


@transaction.atomic
def look_at(*, app: App) -> None:
    """Write an event for each new state of the app's releases, builds and dynos."""
    found = queries.things(app)
    known = set(Seen.objects.filter(app=app, key__in=[thing.key for thing in found]).values_list("key", flat=True))
    for thing in found:
        if thing.key in known:
            continue
        before = Seen.objects.filter(app=app, key__startswith=f"{thing.include}/{thing.id}/").exists()
        if not Seen.objects.get_or_create(app=app, key=thing.key)[1]:
            continue  # a new webhook starts with the next event
        account = thing.account
        actor = {"id": str(account.pk), "email": account.email} if account else {"id": "", "email": "greenroom"}
        action = "update" if before else "create"
        record(app=app, include=thing.include, action=action, data=thing.data, actor=actor, at=clock.now())


def record(
    *, app: App, include: str, action: str, data: dict[str, Any], actor: dict[str, str], at: datetime
) -> Event | None:
    """An event with a delivery for each webhook of the app that subscribes to its kind and is older than ``at``.

    None if there is no such webhook.
    """
    hooks = occurrences.webhooks(app, include, at)
    if not hooks:
        return None
    payload = occurrences.payload(include=include, action=action, data=data, actor=actor)
    event = Event.objects.create(app=app, include=include, payload=payload)
    occurrences.send(event, hooks)
    return event


def forget_old() -> None:
    """Delete events after 30 days, with their deliveries."""
    Event.objects.filter(created_at__lt=clock.now() - KEPT).delete()
