"""The API of notifications: of an app, and of the installation for administrators."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from greenroom.apps.models import App
from greenroom.basics.clock import heroku_time
from greenroom.basics.errors import UserError
from greenroom.entrypoints.api import shapes
from greenroom.entrypoints.api.listing import Listing
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route
from greenroom.webhooks.actions import notifications
from greenroom.webhooks.models import Notification, WebhookDelivery
from greenroom.webhooks.queries.notifications import last_deliveries, notification


def _shape(row: Notification, last: WebhookDelivery | None) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "app": {"id": str(row.app.pk), "name": row.app.name} if row.app else None,
        "channel": row.channel,
        "target": row.shown,
        "events": row.events,
        "user": shapes.user(row.account),
        "last_delivery": _delivery(last) if last else None,
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


def _delivery(row: WebhookDelivery) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "event": row.event.payload["data"]["event"],
        "status": row.status,
        "num_attempts": row.num_attempts,
        "error": row.error or None,
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


def _one(row: Notification) -> dict[str, Any]:
    return _shape(row, last_deliveries([row]).get(row.pk))


def _many(rows: list[Notification]) -> list[dict[str, Any]]:
    last = last_deliveries(rows)
    return [_shape(row, last.get(row.pk)) for row in rows]


def _listing(app: App | None) -> Listing:
    return Listing(Notification.objects.filter(app=app).select_related("app", "account"), _many)


def _add(call: Call, app: App | None) -> Reply:
    events = call.body.get("events") or []
    if not isinstance(events, list) or not all(isinstance(name, str) for name in events):
        raise UserError("events must be a list of strings, such as withheld.")
    row = notifications.add(
        actor=call.actor,
        app=app,
        home=HOME,
        url=call.text("target", required=True),
        events=events,
        allowed=settings.PRIVATE_TARGETS,
    )
    return Reply(_one(row), 201)


def _remove(call: Call, app: App | None) -> dict[str, Any]:
    row = notification(app, call.params["id"])
    body = _one(row)
    notifications.remove(actor=call.actor, row=row)
    return body


def _test(call: Call, app: App | None) -> Reply:
    return Reply(_delivery(notifications.test(actor=call.actor, row=notification(app, call.params["id"]))), 202)


@route("GET", "/apps/{app}/notifications", "webhooks:read", returns="[notification]")
def of_app(call: Call) -> Listing:
    """List the app's notifications, oldest first, each with its newest delivery. Targets are shown without secrets."""
    return _listing(call.app)


@route("POST", "/apps/{app}/notifications", "webhooks:write", takes="notification.create", returns="201 notification")
def add(call: Call) -> Reply:
    """Add a notification: {target, events}. The usual events if there are none."""
    return _add(call, call.app)


@route("GET", "/apps/{app}/notifications/{id}", "webhooks:read", returns="notification")
def get(call: Call) -> dict[str, Any]:
    """Get one notification with its newest delivery."""
    return _one(notification(call.app, call.params["id"]))


@route("DELETE", "/apps/{app}/notifications/{id}", "webhooks:write", returns="notification")
def remove(call: Call) -> dict[str, Any]:
    """Remove a notification."""
    return _remove(call, call.app)


@route("POST", "/apps/{app}/notifications/{id}/actions/test", "webhooks:write", returns="202 notification-delivery")
def test(call: Call) -> Reply:
    """Send a test message to the notification's target."""
    return _test(call, call.app)


@route("GET", "/notifications", "admin", returns="[notification]")
def of_installation(call: Call) -> Listing:
    """List the notifications that are for all apps and the installation."""
    return _listing(None)


@route("POST", "/notifications", "admin", takes="notification.create", returns="201 notification")
def add_for_all(call: Call) -> Reply:
    """Add a notification for all apps and the installation: {target, events}."""
    return _add(call, None)


@route("GET", "/notifications/{id}", "admin", returns="notification")
def get_for_all(call: Call) -> dict[str, Any]:
    """Get one notification of the installation with its newest delivery."""
    return _one(notification(None, call.params["id"]))


@route("DELETE", "/notifications/{id}", "admin", returns="notification")
def remove_for_all(call: Call) -> dict[str, Any]:
    """Remove a notification of the installation."""
    return _remove(call, None)


@route("POST", "/notifications/{id}/actions/test", "admin", returns="202 notification-delivery")
def test_for_all(call: Call) -> Reply:
    """Send a test message to the target of a notification of the installation."""
    return _test(call, None)
