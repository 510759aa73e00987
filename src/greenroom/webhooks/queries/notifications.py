"""Reads notifications and how their last delivery went."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from greenroom.apps.models import App
from greenroom.basics.errors import NotFoundError
from greenroom.basics.ids import is_uuid
from greenroom.webhooks.models import Notification, WebhookDelivery


def notification(app: App | None, id: str) -> Notification:
    """The notification of that id, of an app or of the installation; NotFoundError if there is none."""
    rows = Notification.objects.select_related("app", "account")
    row = rows.filter(app=app, pk=id).first() if is_uuid(id) else None
    if row is None:
        place = f" -a {app.name}" if app else " --all"
        raise NotFoundError(
            "Couldn't find that notification.", hint=f"greenroom notify{place}", resource="notification"
        )
    return row


def last_deliveries(rows: Iterable[Notification]) -> dict[Any, WebhookDelivery]:
    """The newest delivery of each notification."""
    found = WebhookDelivery.objects.filter(notification__in=list(rows)).select_related("event")
    newest = found.order_by("notification_id", "-created_at").distinct("notification_id")
    return {row.notification_id: row for row in newest}
