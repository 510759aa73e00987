"""The API of an app's egress, Greenroom's own resource: the policy and the allowed targets."""

from __future__ import annotations

from typing import Any

from greenroom.apps import queries
from greenroom.apps.models import App
from greenroom.basics.clock import heroku_time
from greenroom.basics.errors import UserError
from greenroom.basics.targets import MOST
from greenroom.deliveries import actions
from greenroom.dynos.queries import count_since_before
from greenroom.entrypoints.api import shapes
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route


def _shown(app: App) -> dict[str, Any]:
    """former_dynos: running dynos that were created before the last change, and follow the rules of before it."""
    return {
        "app": {"id": str(app.id), "name": app.name},
        "policy": app.egress,
        "rules": [{"target": it.text, "host": it.host, "port": it.port or None} for it in queries.egress_targets(app)],
        "limit": MOST,
        "former_dynos": count_since_before(app, app.egress_at),
        "changed_at": heroku_time(app.egress_at),
    }


@route("GET", "/apps/{app}/egress", "view", returns="egress")
def get_egress(call: Call) -> dict[str, Any]:
    """Get the egress policy and the allowed targets. Under an open policy, dynos reach all targets."""
    return _shown(call.app)


@route("PATCH", "/apps/{app}/egress", "settings", takes="egress.update", returns="egress")
def change_egress(call: Call) -> Reply:
    """Set the policy, allow targets and remove them: {policy, allow: [HOST:PORT], remove: [HOST:PORT]}.

    All changes make one release, which replaces the dynos; none if dynos notice nothing: rules under an open policy.
    """
    policy = call.body.get("policy")
    if policy is not None and not isinstance(policy, str):
        raise UserError("policy must be a string: open or closed.")
    allow, remove = _texts(call, "allow"), _texts(call, "remove")
    app = call.app
    release = actions.change_egress(actor=call.actor, app=app, home=HOME, policy=policy, allow=allow, remove=remove)
    headers = {"X-Greenroom-Release": f"v{release.version}", **shapes.news(release)} if release else {}
    return Reply(_shown(app), 200, headers)


def _texts(call: Call, key: str) -> list[str]:
    found = call.body.get(key) or []
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise UserError(f"{key} must be a list of targets, like api.example.org:443.")
    return found
