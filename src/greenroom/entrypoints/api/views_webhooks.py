"""The API of an app's webhooks, their deliveries, and the events."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from greenroom.basics.clock import heroku_time
from greenroom.basics.errors import UserError
from greenroom.entrypoints.api.listing import Listing, each
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route
from greenroom.webhooks import actions, queries
from greenroom.webhooks.models import Event, Webhook, WebhookDelivery

STATES = ("pending", "retrying", "succeeded", "failed")


def _webhook(row: Webhook) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "url": row.url,
        "include": row.include,
        "level": row.level,
        "app": {"id": str(row.app_id), "name": row.app.name},
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


def _delivery(row: WebhookDelivery) -> dict[str, Any]:
    ended = row.code is not None or bool(row.error)
    last = {
        "id": str(row.attempt),
        "code": row.code,
        "error_class": row.error or None,
        "status": "scheduled" if not ended else "failed" if row.error else "succeeded",
        "created_at": heroku_time(row.attempted_at),
        "updated_at": heroku_time(row.updated_at),
    }
    return {
        "id": str(row.pk),
        "status": row.status,
        "num_attempts": row.num_attempts,
        "next_attempt_at": heroku_time(row.next_attempt_at),
        "last_attempt": last if row.attempt else None,
        "event": {"id": str(row.event_id), "include": row.event.include},
        "webhook": {"id": str(row.webhook_id), "level": row.webhook.level if row.webhook else ""},
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


def _event(row: Event) -> dict[str, Any]:
    at = heroku_time(row.created_at)
    return {"id": str(row.pk), "include": row.include, "payload": row.payload, "created_at": at, "updated_at": at}


def _include(call: Call) -> list[str]:
    wanted = call.body.get("include")
    if not isinstance(wanted, list) or not all(isinstance(name, str) for name in wanted):
        raise UserError("include must be a list of strings, such as api:release.")
    return wanted


@route("GET", "/apps/{app}/webhooks", "webhooks:read", returns="[webhook]")
def list_webhooks(call: Call) -> Listing:
    """List the app's webhooks, oldest first, without secrets."""
    return Listing(call.app.webhooks.select_related("app"), each(_webhook))


@route("POST", "/apps/{app}/webhooks", "webhooks:write", takes="webhook.create", returns="201 webhook")
def add_webhook(call: Call) -> Reply:
    """Add a webhook: {url, include, level, secret, authorization}.

    Its secret is shown only once, in the header Heroku-Webhook-Secret.
    """
    row, secret = actions.add(
        actor=call.actor,
        app=call.app,
        home=HOME,
        url=call.text("url", required=True),
        include=_include(call),
        level=call.text("level", required=True),
        secret=call.text("secret"),
        authorization=call.text("authorization"),
        allowed=settings.PRIVATE_TARGETS,
    )
    return Reply(_webhook(row), 201, {"Heroku-Webhook-Secret": secret})


@route("GET", "/apps/{app}/webhooks/{id}", "webhooks:read", returns="webhook")
def get_webhook(call: Call) -> dict[str, Any]:
    """Get one webhook."""
    return _webhook(queries.webhook(call.app, call.params["id"]))


@route("PATCH", "/apps/{app}/webhooks/{id}", "webhooks:write", takes="webhook.update", returns="webhook")
def change_webhook(call: Call) -> dict[str, Any]:
    """Change the given settings of a webhook."""
    changes: dict[str, Any] = {
        name: call.text(name, required=True) for name in ("url", "level") if call.body.get(name) is not None
    }
    changes |= {name: call.text(name) for name in ("secret", "authorization") if call.body.get(name) is not None}
    if call.body.get("include") is not None:
        changes["include"] = _include(call)
    row = queries.webhook(call.app, call.params["id"])
    return _webhook(
        actions.change(actor=call.actor, webhook=row, home=HOME, allowed=settings.PRIVATE_TARGETS, **changes)
    )


@route("DELETE", "/apps/{app}/webhooks/{id}", "webhooks:write", returns="webhook")
def remove_webhook(call: Call) -> dict[str, Any]:
    """Remove a webhook with its deliveries."""
    row = queries.webhook(call.app, call.params["id"])
    body = _webhook(row)
    actions.remove(actor=call.actor, webhook=row)
    return body


@route(
    "GET",
    "/apps/{app}/webhook-deliveries",
    "webhooks:read",
    paged="created_at",
    returns="[webhook-delivery]",
    query=("eq[status]",),
)
def list_deliveries(call: Call) -> Listing:
    """List the newest deliveries in order of time; ``?eq[status]=`` filters by status."""
    rows = WebhookDelivery.objects.filter(webhook__app=call.app).select_related("event", "webhook")
    wanted = call.query("eq[status]")
    if wanted and wanted not in STATES:
        raise UserError(f"status must be one of {', '.join(STATES)}.")
    rows = rows.filter(status=wanted) if wanted else rows
    return Listing(rows, each(_delivery), "-created_at", newest_last=True)


@route("GET", "/apps/{app}/webhook-deliveries/{id}", "webhooks:read", returns="webhook-delivery")
def get_delivery(call: Call) -> dict[str, Any]:
    """Get one delivery."""
    return _delivery(queries.delivery(call.app, call.params["id"]))


@route("GET", "/apps/{app}/webhook-events", "webhooks:read", paged="created_at", returns="[webhook-event]")
def list_events(call: Call) -> Listing:
    """List the newest events with a delivery, in order of time."""
    return Listing(Event.objects.filter(app=call.app), each(_event), "-created_at", newest_last=True)


@route("GET", "/apps/{app}/webhook-events/{id}", "webhooks:read", returns="webhook-event")
def get_event(call: Call) -> dict[str, Any]:
    """Get one event with its payload."""
    return _event(queries.event(call.app, call.params["id"]))
