"""Writes the attempts of webhook deliveries: claimed and counted before the request, concluded after it."""

from __future__ import annotations

import uuid
from datetime import timedelta

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
    """Claim due deliveries, a few of each app, each with a new attempt id."""
    rows = OUTBOX.rows().select_related("webhook__app", "event").order_by("next_attempt_at")
    return OUTBOX.claim(rows, limit=BATCH, fits=_fits, attempt=uuid.uuid4, attempted_at=clock.now)


def _fits(taken: list[WebhookDelivery], row: WebhookDelivery) -> bool:
    return sum(other.webhook.app_id == row.webhook.app_id for other in taken) < PER_APP


def conclude(*, row: WebhookDelivery, outcome: Outcome) -> None:
    """Store the result of the claimed attempt and the time of the next one."""
    error = outcome.error
    wait = rules.pause(level=row.webhook.level, attempts=row.num_attempts) if error else None
    status = "succeeded" if not error else "failed" if wait is None else "retrying"
    OUTBOX.conclude(row, wait=wait, code=outcome.code, error=error, status=status)
