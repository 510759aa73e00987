"""Writes the attempts of webhook deliveries: claimed and counted before the request, concluded after it."""

from __future__ import annotations

import uuid
from datetime import timedelta
from uuid import UUID

from django.db.models import Q

from greenroom.basics import clock
from greenroom.outbox import Outbox
from greenroom.webhooks import rules
from greenroom.webhooks.channels.kind import Outcome
from greenroom.webhooks.models import WebhookDelivery

BATCH = 500
PER_APP = 2
OUTBOX = Outbox(
    model=WebhookDelivery,
    due="next_attempt_at",
    attempts="num_attempts",
    lease=timedelta(minutes=1),
    waiting=Q(status__in=("pending", "retrying")),
)


def claim() -> list[WebhookDelivery]:
    """Claim due deliveries, a few of each app and each notification, each with a new attempt id."""
    rows = OUTBOX.rows().select_related("webhook__app", "notification", "event").order_by("next_attempt_at")
    return OUTBOX.claim(rows, limit=BATCH, fits=_fits, attempt=uuid.uuid4, attempted_at=clock.now)


def _fits(taken: list[WebhookDelivery], row: WebhookDelivery) -> bool:
    return sum(_target(other) == _target(row) for other in taken) < PER_APP


def _target(row: WebhookDelivery) -> UUID | None:
    return row.webhook.app_id if row.webhook else row.notification_id


def conclude(*, row: WebhookDelivery, outcome: Outcome) -> None:
    """Store the result of the claimed attempt and the time of the next one."""
    error = outcome.error
    level = row.webhook.level if row.webhook else "sync"
    wait = rules.pause(level=level, attempts=row.num_attempts) if error and outcome.again else None
    status = "succeeded" if not error else "failed" if wait is None else "retrying"
    OUTBOX.conclude(row, wait=wait, code=outcome.code, error=error, status=status)
