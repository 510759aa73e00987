"""The webhook loop: turns changes into events and deliveries, and sends due deliveries.

After a crash a delivery is sent again with the same id, so that receivers can detect the repetition.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from django.db import connections

from greenroom.apps.models import App
from greenroom.apps.queries import is_gone
from greenroom.basics import clock, outgoing
from greenroom.basics.guard import Guard
from greenroom.webhooks import channels
from greenroom.webhooks.actions import deliveries, events, notifications, occurrences, opened
from greenroom.webhooks.channels.kind import Message, Outcome
from greenroom.webhooks.models import WebhookDelivery

log = logging.getLogger(__name__)
HANDS = 4
LOOK = timedelta(seconds=30)
"""Pause between two looks for alerts."""


class Loop:
    """Called by the worker every second. ``allowed``: networks besides the public ones that may be contacted."""

    def __init__(
        self,
        home: Path,
        allowed: Sequence[outgoing.Network] = (),
        hands: int = HANDS,
        installation: Mapping[str, Any] | None = None,
    ) -> None:
        self.home, self.allowed, self.hands, self.installation = home, allowed, hands, installation or {}
        self.guard = Guard(log)
        self.looked = clock.now() - LOOK

    def turn(self) -> bool:
        """Whether more work is due immediately."""
        events.read_audit()
        for app in App.objects.filter(webhooks__isnull=False).distinct():
            look = partial(events.look_at, app=app)
            self.guard.run(app.pk, f"the webhooks of {app.name}", look, partial(is_gone, app))
        self.guard.run("deliveries", "the events of deliveries", self._deliveries)
        if clock.now() - self.looked >= LOOK:
            since, self.looked = self.looked, clock.now()
            self.guard.run("alerts", "the alerts", partial(occurrences.look_at_the_rest, self.home, since))
        due = deliveries.claim()
        if self.hands and len(due) > 1:
            with ThreadPoolExecutor(self.hands) as pool:
                list(pool.map(self._send_in_thread, due))
        else:
            for row in due:
                self._send(row)
        events.forget_old()
        return bool(due)

    def _deliveries(self) -> None:
        occurrences.look_at_deliveries(self.home, self.installation)

    def _send_in_thread(self, row: WebhookDelivery) -> None:
        try:
            self._send(row)
        finally:
            connections.close_all()

    def _send(self, row: WebhookDelivery) -> None:
        """``send``; an error of Greenroom's own ends the attempt like a failed request."""
        try:
            self.send(row)
        except Exception:
            log.exception("the delivery %s of a webhook could not be sent", row.pk)
            failed = partial(deliveries.conclude, row=row, outcome=Outcome(error="internal"))
            self.guard.run(row.pk, f"the delivery {row.pk} of a webhook", failed)

    def send(self, row: WebhookDelivery) -> None:
        """Make one attempt of a claimed delivery and store its result."""
        url = secret = authorization = ""
        if row.webhook is not None:
            url, (secret, authorization) = row.webhook.url, opened(row.webhook, self.home)
        elif row.notification is not None:
            url = notifications.opened(row.notification, self.home)
        message = Message(body=_body(row), secret=secret, authorization=authorization)
        channel = channels.of(url)
        outcome = channel.deliver(url, message, self.allowed) if channel else Outcome(error="no-channel")
        deliveries.conclude(row=row, outcome=outcome)


def _body(row: WebhookDelivery) -> dict[str, Any]:
    at = clock.heroku_time(row.event.created_at)
    metadata = {
        "attempt": {"id": str(row.attempt)},
        "delivery": {"id": str(row.pk)},
        "event": {"id": str(row.event_id), "include": row.event.include},
        "webhook": {"id": str(row.webhook_id or row.notification_id)},
    }
    return {
        "id": str(row.event_id),
        "created_at": at,
        "updated_at": at,
        **row.event.payload,
        "webhook_metadata": metadata,
    }
