"""API of the formation: process types, their quantities and sizes."""

from __future__ import annotations

from typing import Any

from greenroom.basics.errors import NotFoundError, UserError
from greenroom.deliveries.queries.newest_green import newest as newest_code
from greenroom.dynos import actions as dynos
from greenroom.dynos import queries as dyno_queries
from greenroom.dynos.models import Formation
from greenroom.entrypoints.api import shapes
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route
from greenroom.entrypoints.api.views_dynos import unserved_warning
from greenroom.releases import queries as releases


def _types(call: Call) -> dict[str, str]:
    """The process types of the live release; without one, of the newest code, even if it failed."""
    live = dyno_queries.live(call.app)
    newest = None if live else newest_code(call.app)
    return dyno_queries.process_types(live.release if live else newest.release if newest else None)


def _listed(call: Call) -> dict[str, str]:
    """The types to list. The Heroku CLI offers ``releases:retry`` only if there is a type ``release``."""
    newest = releases.of_app(call.app).exclude(slug=None).first()
    failed = newest is not None and newest.status in ("failed", "refused")
    return {**({"release": ""} if failed else {}), **_types(call)}


@route("GET", "/apps/{app}/formation", "view", returns="[formation]")
def list_formation(call: Call) -> list[dict[str, Any]]:
    """List the process types with their quantities.

    After a failed release there is a type ``release`` with quantity 0.
    """
    rows = dyno_queries.formation(call.app)
    result = []
    for name, command in sorted(_listed(call).items()):
        row = rows.get(name) or Formation(
            app=call.app,
            type=name,
            quantity=1 if name == "web" else 0,
            created_at=call.app.created_at,
            updated_at=call.app.updated_at,
        )
        result.append(shapes.formation(row, command))
    return result


@route("PATCH", "/apps/{app}/formation", "scale", takes="formation.update", returns="[formation]")
def scale(call: Call) -> Reply:
    """Scale process types: {updates: [{type, quantity, size}]}; quantity may be "2", "+1" or "-1"."""
    updates = call.body.get("updates")
    if not isinstance(updates, list) or not all(isinstance(update, dict) for update in updates) or not updates:
        raise UserError("updates must be a list of {type, quantity, size}.")
    types = _types(call)
    rows = dynos.scale(actor=call.actor, app=call.app, home=HOME, updates=updates, process_types=types)
    unserved = {} if dyno_queries.live(call.app) else unserved_warning(call.app)
    return Reply([shapes.formation(row, types[row.type]) for row in rows], headers=unserved)


@route("PATCH", "/apps/{app}/formation/{type}", "scale", takes="formation.change-one", returns="formation")
def scale_one(call: Call) -> dict[str, Any]:
    """Scale one process type."""
    types = _types(call)
    update = {**call.body, "type": call.params["type"]}
    rows = dynos.scale(actor=call.actor, app=call.app, home=HOME, updates=[update], process_types=types)
    return shapes.formation(rows[0], types[rows[0].type])


@route("DELETE", "/apps/{app}/formations/{type}", "scale", returns="202 nothing")
def restart_type(call: Call) -> Reply:
    """Restart the dynos of one process type; old ``web`` dynos serve until the new ones respond."""
    return _end_type(call, "restart")


@route("POST", "/apps/{app}/formations/{type}/actions/stop", "scale", returns="202 nothing")
def stop_type(call: Call) -> Reply:
    """Stop the dynos of one process type; one-off dynos (type ``run``) are not started again."""
    return _end_type(call, "stop")


def _end_type(call: Call, word: str) -> Reply:
    kind = call.params["type"]
    if kind not in {row.type for row in dynos.running(call.app)}:
        hint = f"greenroom ps -a {call.app.name}"
        raise NotFoundError(f"No dyno of process type {kind[:60]} is running.", hint=hint, resource="formation")
    dynos.restart(actor=call.actor, app=call.app, name=kind, word=word)
    return Reply({}, 202)
