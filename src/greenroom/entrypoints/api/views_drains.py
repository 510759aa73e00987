"""The API of log drains. URLs are shown without passwords; the delivery state is a Greenroom extension."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from greenroom.basics.clock import heroku_time
from greenroom.entrypoints.api.listing import Listing, each
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route
from greenroom.logs.actions import drains
from greenroom.logs.models import LogDrain


def _shape(row: LogDrain) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "url": row.url,
        "token": row.token,
        "addon": None,
        "extended": None,
        "sent_lines": row.sent,
        "sent_at": heroku_time(row.sent_at),
        "failures": row.failures if row.error else 0,  # the first attempt may be in progress
        "error": row.error or None,
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


@route("GET", "/apps/{app}/log-drains", "config:read", query=("extended",), returns="[log-drain]")
def list_drains(call: Call) -> Listing:
    """List the app's drains, oldest first.

    ``?extended=true`` adds Heroku's number of a drain: here its id.
    """
    extended = call.query("extended") == "true"

    def shown(row: LogDrain) -> dict[str, Any]:
        return {**_shape(row), "extended": {"drain_id": str(row.pk)}} if extended else _shape(row)

    return Listing(call.app.log_drains.all(), each(shown))


@route("POST", "/apps/{app}/log-drains", "settings", takes="log-drain.create", returns="201 log-drain")
def add_drain(call: Call) -> Reply:
    """Add a drain for the app's log: {url} with https, http, syslog+tls or syslog.

    It starts with the next line.
    """
    row = drains.add(
        actor=call.actor, app=call.app, home=HOME, url=call.text("url", required=True), allowed=settings.PRIVATE_TARGETS
    )
    return Reply(_shape(row), 201)


@route("GET", "/apps/{app}/log-drains/{drain}", "config:read", wide="drain", returns="log-drain")
def get_drain(call: Call) -> dict[str, Any]:
    """Get one drain, by URL, token or id."""
    return _shape(drains.find(call.app, call.params["drain"]))


@route("DELETE", "/apps/{app}/log-drains/{drain}", "settings", wide="drain", returns="log-drain")
def remove_drain(call: Call) -> dict[str, Any]:
    """Remove a drain."""
    return _shape(drains.remove(actor=call.actor, app=call.app, name=call.params["drain"]))
