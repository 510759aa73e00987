"""The webhooks' turn of the worker: what happened becomes events, events become tellings, and tellings that are due are
sent.

Events come from rows: the audit log behind a cursor (its ids are in the order of commits), and the states of releases,
builds and dynos.
A telling's attempt is counted before its request; after a kill it is sent again with the same id, by which receivers
know it.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from django.db import connections, transaction
from django.db.models import Max

from greenroom.accounts.models import AuditEntry
from greenroom.apps.models import App
from greenroom.apps.queries import is_gone
from greenroom.basics import clock, outgoing
from greenroom.basics.guard import Guard
from greenroom.webhooks import queries, rules
from greenroom.webhooks.actions import opened
from greenroom.webhooks.models import Cursor, Event, Seen, Telling, Webhook

log = logging.getLogger(__name__)
guard = Guard(log)
HANDS = 4
PER_APP = 2
BATCH = 500
LEASE = timedelta(minutes=1)
KEPT = timedelta(days=30)


class WebhookTurn:
    """Called by the worker every second. ``allowed``: networks beside the public ones that may be told."""

    def __init__(self, home: Path, allowed: Sequence[outgoing.Network] = (), hands: int = HANDS) -> None:
        self.home, self.allowed, self.hands = home, allowed, hands
        self.guard = Guard(log)

    def turn(self) -> bool:
        """Whether there is more to do at once."""
        read_audit()
        for app in App.objects.filter(webhooks__isnull=False).distinct():
            self.guard.run(app.pk, f"the webhooks of {app.name}", partial(look_at, app), partial(is_gone, app))
        due = claim()
        if self.hands and len(due) > 1:
            with ThreadPoolExecutor(self.hands) as pool:
                list(pool.map(self._send_in_thread, due))
        else:
            for row in due:
                self.guard.run(row.pk, f"a webhook of {row.webhook.app.name}", partial(self.send, row))
        Event.objects.filter(created_at__lt=clock.now() - KEPT).delete()
        return bool(due)

    def _send_in_thread(self, row: Telling) -> None:
        try:
            self.send(row)
        except Exception:
            log.exception("a webhook of %s could not be told", row.webhook.app.name)
        finally:
            connections.close_all()

    def send(self, row: Telling) -> None:
        """One attempt of a claimed telling, and how it ended."""
        secret, authorization = opened(row.webhook, self.home)
        body = json.dumps(_body(row)).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Greenroom-Webhooks",
            "Heroku-Webhook-Hmac-SHA256": rules.signature(secret, body),
        }
        if authorization:
            headers["Authorization"] = authorization
        code, error = None, ""
        try:
            code = outgoing.post(row.webhook.url, body, headers, allowed=self.allowed)
            error = "" if rules.succeeded(code) else "bad-status"
        except outgoing.OutgoingError as trouble:
            error = trouble.kind
        _conclude(row, code, error)


@transaction.atomic
def read_audit() -> None:
    """The audit rows behind the cursor as events; the first time, only the cursor is set."""
    if not Cursor.objects.exists():
        top = AuditEntry.objects.aggregate(top=Max("id"))["top"] or 0
        Cursor.objects.get_or_create(pk=1, defaults={"position": top})
    cursor = Cursor.objects.select_for_update(no_key=True).get(pk=1)
    rows = list(AuditEntry.objects.filter(id__gt=cursor.position).order_by("id")[:BATCH])
    for entry in rows:
        guard.run(entry.pk, f"audit entry {entry.pk}", partial(_tell_entry, entry))
    if rows:
        Cursor.objects.filter(pk=cursor.pk).update(position=rows[-1].pk)


@transaction.atomic
def _tell_entry(entry: AuditEntry) -> None:
    """An entry that cannot be told is left out, so that it does not hold up all that come after it."""
    app = App.objects.filter(pk=entry.app_id).first() if entry.app_id and entry.action in rules.AUDITED else None
    if app is None:
        return
    include, action = rules.AUDITED[entry.action]
    data = {
        "app": {"id": str(app.pk), "name": app.name},
        **({"id": str(app.pk), "name": app.name} if include == "api:app" else {}),
        **entry.detail,
    }
    actor = {"id": str(entry.account_id) if entry.account_id else "", "email": entry.actor}
    tell(app=app, include=include, action=action, data=data, actor=actor, at=entry.at)


@transaction.atomic
def look_at(app: App) -> None:
    """The app's releases, builds and dynos in states that were not seen yet as events."""
    found = queries.things(app)
    known = set(Seen.objects.filter(app=app, key__in=[thing.key for thing in found]).values_list("key", flat=True))
    for thing in found:
        if thing.key in known:
            continue
        action = (
            "update"
            if Seen.objects.filter(app=app, key__startswith=f"{thing.include}/{thing.id}/").exists()
            else "create"
        )
        if not Seen.objects.get_or_create(app=app, key=thing.key)[1]:
            continue  # a webhook that was added this moment starts from here
        actor = (
            {"id": str(thing.account.pk), "email": thing.account.email}
            if thing.account
            else {"id": "", "email": "greenroom"}
        )
        tell(app=app, include=thing.include, action=action, data=thing.data, actor=actor, at=clock.now())


def tell(*, app: App, include: str, action: str, data: dict[str, Any], actor: dict[str, str], at: Any) -> None:
    """An event with a telling for each webhook of the app that asked for its kind and is older; no event where there is
    none.
    """
    hooks = [row for row in Webhook.objects.filter(app=app, created_at__lte=at) if include in row.include]
    if not hooks:
        return
    payload = {
        "action": action,
        "actor": actor,
        "data": data,
        "previous_data": {},
        "resource": include.removeprefix("api:"),
        "version": "application/vnd.heroku+json; version=3",
        "published_at": clock.heroku_time(clock.now()),
        "sequence": None,
    }
    event = Event.objects.create(app=app, include=include, payload=payload)
    now = clock.now()
    Telling.objects.bulk_create(Telling(webhook=hook, event=event, next_attempt_at=now) for hook in hooks)


@transaction.atomic
def claim() -> list[Telling]:
    """The tellings that are due, a few of each app, with their attempt counted and a lease that outlives the
    request.
    """
    now = clock.now()
    rows = Telling.objects.filter(status__in=("pending", "retrying"), next_attempt_at__lte=now).select_related(
        "webhook__app", "event"
    )
    taken: list[Telling] = []
    for row in rows.select_for_update(no_key=True, skip_locked=True, of=("self",)).order_by("next_attempt_at")[:BATCH]:
        if sum(other.webhook.app_id == row.webhook.app_id for other in taken) < PER_APP:
            row.num_attempts, row.attempt, row.attempted_at, row.next_attempt_at = (
                row.num_attempts + 1,
                uuid.uuid4(),
                now,
                now + LEASE,
            )
            row.save(update_fields=["num_attempts", "attempt", "attempted_at", "next_attempt_at", "updated_at"])
            taken.append(row)
    return taken


def _conclude(row: Telling, code: int | None, error: str) -> None:
    wait = rules.pause(level=row.webhook.level, attempts=row.num_attempts) if error else None
    row.code, row.error = code, error
    row.next_attempt_at = clock.now() + timedelta(seconds=wait) if wait is not None else None
    row.status = "succeeded" if not error else "failed" if wait is None else "retrying"
    facts = {name: getattr(row, name) for name in ("code", "error", "next_attempt_at", "status")}
    Telling.objects.filter(pk=row.pk, attempt=row.attempt).update(updated_at=clock.now(), **facts)


def _body(row: Telling) -> dict[str, Any]:
    at = clock.heroku_time(row.event.created_at)
    metadata = {
        "attempt": {"id": str(row.attempt)},
        "delivery": {"id": str(row.pk)},
        "event": {"id": str(row.event_id), "include": row.event.include},
        "webhook": {"id": str(row.webhook_id)},
    }
    return {
        "id": str(row.event_id),
        "created_at": at,
        "updated_at": at,
        **row.event.payload,
        "webhook_metadata": metadata,
    }
