"""Heroku's API of key-value stores (``/redis/v0``) for the Heroku CLI: facts, settings and credentials."""

from __future__ import annotations

from typing import Any

from greenroom.addons.models import Addon
from greenroom.addons.redis import actions, queries, rules
from greenroom.basics.errors import ConflictError, NotFoundError
from greenroom.deliveries.actions import addon_lifecycle
from greenroom.entrypoints.api import shapes_data
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route
from greenroom.entrypoints.api.views_addons import addon_of


def store_of(call: Call, permission: str) -> Addon:
    """The key-value store of the path. Requires ``permission`` for the app that owns it."""
    row = addon_of(call, call.params["store"], permission)
    if row.kind != rules.SERVICE.kind:
        raise NotFoundError(
            f"{row.name} is not a key-value store.", hint=f"heroku addons -a {row.app.name}", resource="add_on"
        )
    return row


@route("GET", "/redis/v0/databases/{store}", "account:read", also="data:read", returns="store")
def store(call: Call) -> dict[str, Any]:
    """The output of ``redis:info``. The URL is included for callers who may read config vars."""
    row = store_of(call, "data:read")
    if row.state != "provisioned":
        raise NotFoundError(f"{row.name} is {row.state}.", resource="add_on")
    facts = queries.info(row, HOME)
    return {
        "id": str(row.id),
        "name": row.name,
        "plan": row.plan.partition(":")[2],
        "info": [{"name": name, "values": [value]} for name, value in _shown(row, facts)],
        "resource_url": queries.url_of(row, HOME, "_TLS_URL"),
        "version": facts["version"],
        "port": row.data["port"],
        "prefer_native_tls": True,
        "formation": None,
        "metaas_source": None,
        "customer_encryption_key": None,
        "created_at": shapes_data.stamp(row.created_at),
    }


def _shown(row: Addon, facts: dict[str, Any]) -> list[tuple[str, str]]:
    used = "" if facts["used_bytes"] is None else f"{facts['used_bytes'] / 1e6:.1f} MB / "
    connections = "?" if facts["connections"] is None else facts["connections"]
    return [
        ("Plan", row.plan.partition(":")[2].replace("-", " ").title()),
        ("Status", "Available" if facts["answers"] else "Does not answer"),
        ("Created", str(shapes_data.stamp(row.created_at))),
        ("Version", facts["version"] or "unknown"),
        ("Timeout", f"{facts['timeout']} seconds" if facts["timeout"] else "none"),
        ("Maxmemory", facts["maxmemory_policy"]),
        ("Data Size", f"{used}{facts['limit_bytes'] / 1e6:.0f} MB"),
        ("Keys", "?" if facts["keys"] is None else str(facts["keys"])),
        ("Persistence", "AOF" if facts["persistent"] else "None"),
        ("Connections", f"{connections}/{facts['connection_limit']}"),
        ("Keyspace Notifications", facts["notify_keyspace_events"] or "None"),
        ("HA Status", "Unavailable"),
    ]


@route("GET", "/redis/v0/databases/{store}/wait", "account:read", also="view", returns="wait-status")
def wait(call: Call) -> dict[str, Any]:
    """Whether the store answers."""
    row = store_of(call, "view")
    ready = row.state == "provisioned" and queries.info(row, HOME)["answers"]
    message = "available" if ready else row.state if row.state != "provisioned" else "its server is being started"
    return {"waiting?": not ready, "message": message, "error?": False}


@route(
    "PATCH",
    "/redis/v0/databases/{store}/config",
    "account:write",
    also="data:write",
    takes="store.config",
    returns="store-config",
)
def config(call: Call) -> dict[str, Any]:
    """Change the eviction policy, the timeout of idle clients or the keyspace notifications."""
    row = store_of(call, "data:write")
    found = actions.change(actor=call.actor, addon=row, changes=call.body, home=HOME)
    return {
        "maxmemory_policy": {"value": found["maxmemory_policy"], "values": rules.POLICIES},
        "timeout": {"value": found["timeout"]},
        "notify_keyspace_events": {"value": found["notify_keyspace_events"]},
    }


@route(
    "POST",
    "/redis/v0/databases/{store}/credentials_rotation",
    "account:write",
    also="config:write",
    returns="message",
)
def rotate(call: Call) -> dict[str, Any]:
    """Give the store a new password, and release it to the attached apps. The former one is valid for 10 minutes."""
    row = store_of(call, "config:write")
    addon_lifecycle.rotate(actor=call.actor, addon=row, home=HOME)
    return {"message": "The password was changed; the former one is valid for 10 more minutes."}


@route("POST", "/redis/v0/databases/{store}/stats/reset", "account:write", also="data:write", returns="message")
def reset_stats(call: Call) -> dict[str, Any]:
    """Reset the server's counters."""
    row = store_of(call, "data:write")
    actions.reset_stats(addon=row, home=HOME)
    return {"message": "Stats reset successful."}


@route("POST", "/redis/v0/databases/{store}/upgrade", "account:write", also="data:write", returns="202 message")
def upgrade(call: Call) -> Reply:
    """Always refused: a store runs the version that the installation has."""
    row = store_of(call, "data:write")
    raise ConflictError(
        f"{row.name} runs the version of this installation and cannot be upgraded by itself.",
        hint="the operator upgrades Greenroom, or sets GREENROOM_REDIS_BIN",
    )
