"""Heroku's data API (``/client/v11``, ``/postgres/v0``) for the Heroku CLI: databases, backups, schedules, credentials.

Backups are snapshots, transfers are snapshots or restores; the worker runs them, and clients poll transfers.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings

from greenroom.addons import queries as addons
from greenroom.addons.actions import snapshots
from greenroom.addons.models import Addon, Restore, Snapshot
from greenroom.addons.postgres import actions, queries, rules
from greenroom.addons.postgres.actions import schedules
from greenroom.apps.queries import authorise
from greenroom.basics import clock, signing
from greenroom.basics.errors import ConflictError, NotFoundError, PlatformError, UserError
from greenroom.deliveries.actions import addon_data
from greenroom.entrypoints.api import client_urls, shapes_data, signed_links
from greenroom.entrypoints.api.drivers import engine
from greenroom.entrypoints.api.listing import Listing, each
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route
from greenroom.entrypoints.api.views_addons import addon_of

LINK_SECONDS = 3600
RESET_SECONDS = 120.0
KIND = rules.SERVICE.kind
REFERENCE = "greenroom:snapshot/"


def database_of(call: Call, permission: str) -> Addon:
    """The database of the path. Requires ``permission`` for the app that owns it."""
    return addon_of(call, call.params["database"], permission)


@route("GET", "/client/v11/databases/{database}", "account:read", also="data:read", returns="database")
def database(call: Call) -> dict[str, Any]:
    """The output of ``pg:info``. The URL is included for callers who may read config vars."""
    row = database_of(call, "data:read")
    if row.state != "provisioned":
        raise NotFoundError(f"{row.name} is {row.state}.", resource="database")
    facts = queries.info(row)
    shown = [
        ("Plan", "Essential 0"),
        ("Status", "Available"),
        ("Connections", f"{facts['connections']}/{facts['connection_limit']}"),
        ("PG Version", facts["version"]),
        ("Created", shapes_data.stamp(row.created_at)),
        ("Data Size", _size(facts)),
        ("Tables", str(facts["tables"])),
        ("Fork/Follow", "Unsupported"),
        ("Rollback", "Unsupported"),
        ("Continuous Protection", "Off"),
    ]
    return {
        "id": str(row.id),
        "name": row.name,
        "plan": row.plan,
        "info": [{"name": name, "values": [value]} for name, value in shown],
        "resource_url": queries.url_of(row, HOME).text,
        "database_name": row.data["database"],
        "database_user": row.data["role"],
        "following": None,
        "leader": None,
        "forked_from": None,
        "target_transaction": None,
        "available_for_ingress": True,
        "num_bytes": facts["size_bytes"],
        "num_tables": facts["tables"],
        "num_connections": facts["connections"],
        "num_connections_waiting": 0,
        "standalone?": True,
        "created_at": shapes_data.stamp(row.created_at),
    }


def _size(facts: dict[str, Any]) -> str:
    quota = f" / {facts['quota_bytes'] / 1e6:.0f} MB" if facts["quota_bytes"] else ""
    over = {"full": " (over the quota: read-only)", "closed": " (over twice the quota: closed)"}.get(
        facts["over_quota"], ""
    )
    return f"{facts['size_bytes'] / 1e6:.1f} MB{quota}{over}"


@route("GET", "/client/v11/databases/{database}/wait_status", "account:read", also="view", returns="wait-status")
def wait_status(call: Call) -> dict[str, Any]:
    """Whether the database is ready."""
    row = database_of(call, "view")
    ready = row.state == "provisioned"
    return {"waiting?": not ready, "message": "available" if ready else row.state, "error?": False}


@route(
    "POST", "/client/v11/databases/{database}/connection_reset", "account:write", also="data:write", returns="message"
)
def end_connections(call: Call) -> dict[str, Any]:
    """End all sessions of the app's roles and in its database; the app reconnects."""
    row = database_of(call, "data:write")
    count = actions.end_connections(actor=call.actor, addon=row)
    return {"message": f"{count} connections were ended."}


@route(
    "PUT",
    "/client/v11/databases/{database}/reset",
    "account:write",
    also="data:write",
    takes="database.reset",
    returns="202 message",
)
def reset(call: Call) -> Reply:
    """Replace the database by an empty one; returns when that is done.

    The replaced data is saved as a snapshot and kept for a day.
    """
    row = database_of(call, "data:write")
    if call.body.get("extensions"):
        raise UserError(
            "Extensions cannot be installed by a reset.", hint="CREATE EXTENSION works in the database itself"
        )
    made = addon_data.reset(actor=call.actor, addon=row, engine=engine(), seconds=RESET_SECONDS)
    if made.state == "failed":
        raise PlatformError(f"The reset failed and the database is as it was: {made.failure}")
    return Reply({"message": f"{row.name} is empty" if made.finished_at else "Reset is under way"}, 202)


@route(
    "POST", "/client/v11/databases/{database}/backups", "account:write", also="data:snapshot", returns="201 transfer"
)
def capture(call: Call) -> Reply:
    """Request a backup."""
    row = database_of(call, "data:snapshot")
    made = addon_data.save(actor=call.actor, addon=row, reason="pg:backups:capture")
    return Reply(shapes_data.backup(made), 201)


@route(
    "POST",
    "/client/v11/databases/{database}/restores",
    "account:write",
    also="data:write",
    takes="transfer.restore",
    returns="201 transfer",
)
def restore(call: Call) -> Reply:
    """Request a restore from {backup_url}: a transfer's ``to_url``, or a link of ``pg:backups:url``."""
    row = database_of(call, "data:write")
    if call.body.get("extensions"):
        raise UserError("Extensions cannot be installed by a restore.", hint="they are in the backup")
    snapshot = _snapshot_of(call.text("backup_url", required=True))
    authorise(call.actor, snapshot.addon.app.name, "data:read")
    made = addon_data.restore(actor=call.actor, addon=row, snapshot=snapshot, engine=engine())
    return Reply(shapes_data.restore(made), 201)


def _snapshot_of(reference: str) -> Snapshot:
    """The snapshot of a reference. External files are refused: the platform fetches no URL that a user supplies."""
    rows = Snapshot.objects.filter(addon__kind=KIND).select_related("addon__app")
    if reference.startswith(REFERENCE):
        found = next((row for row in rows if str(row.id) == reference.removeprefix(REFERENCE)), None)
    elif "/streams/snapshots/" in reference:
        payload = signing.unsign(reference.rpartition("/")[2], key=settings.SECRET_KEY, purpose="snapshots")
        found = rows.filter(file=payload["file"]).first()
    else:
        raise UserError(
            "Only backups of this installation can be restored.",
            hint="load a dump from elsewhere with pg_restore and DATABASE_URL",
        )
    if found is None:
        raise NotFoundError("Couldn't find that backup.", resource="transfer")
    return found


@route("GET", "/client/v11/apps/{app}/transfers", "data:read", returns="[transfer]")
def transfers(call: Call) -> Listing:
    """List backups and restores of the app's databases, oldest first."""
    rows = [
        found.prefetch_related("addon__attachments")
        for found in (addons.snapshots_of(call.app), addons.restores_of(call.app))
    ]
    return Listing(rows, each(_shown), "num", {"num": "number"})


def _shown(row: Snapshot | Restore) -> dict[str, Any]:
    return shapes_data.backup(row) if isinstance(row, Snapshot) else shapes_data.restore(row)


@route("GET", "/client/v11/apps/{app}/transfers/{transfer}", "data:read", returns="transfer")
def transfer(call: Call) -> dict[str, Any]:
    """Get one transfer, by number or uuid."""
    row = _transfer(call)
    return shapes_data.backup(row) if isinstance(row, Snapshot) else shapes_data.restore(row)


def _transfer(call: Call) -> Snapshot | Restore:
    text = call.params["transfer"]
    for find in (addons.snapshot, addons.restore):
        try:
            return find(call.app, text)
        except NotFoundError:
            continue
    raise NotFoundError("Couldn't find that backup.", hint=f"heroku pg:backups -a {call.app.name}", resource="transfer")


@route("DELETE", "/client/v11/apps/{app}/transfers/{transfer}", "data:write", returns="transfer")
def delete_transfer(call: Call) -> dict[str, Any]:
    """Delete a backup with its file."""
    row = _transfer(call)
    if isinstance(row, Restore):
        raise ConflictError(f"{row.name} is the record of a restore; records stay.")
    shape = shapes_data.backup(row)
    snapshots.delete(actor=call.actor, snapshot=row, home=HOME)
    return shape


@route("POST", "/client/v11/apps/{app}/transfers/{transfer}/actions/public-url", "data:read", returns="public-url")
def public_url(call: Call) -> dict[str, Any]:
    """A public link to the file, valid for an hour and while the caller may read the data."""
    row = addons.snapshot(call.app, call.params["transfer"])
    if row.state != "succeeded":
        raise ConflictError(f"{row.name} cannot be downloaded: it is {row.state}.")
    payload = {"file": row.file, "name": f"{call.app.name}-{row.name}.dump"}
    token = signed_links.signed(
        payload, purpose="snapshots", app=call.app.id, permission="data:read", seconds=LINK_SECONDS
    )
    place = client_urls.secure(f"/streams/snapshots/{token}")
    snapshots.note_link(actor=call.actor, snapshot=row, seconds=LINK_SECONDS)
    return {"url": place, "expires_at": shapes_data.stamp(clock.now() + timedelta(seconds=LINK_SECONDS))}


@route("POST", "/client/v11/apps/{app}/transfers/{transfer}/actions/cancel", "data:write", returns="transfer")
def cancel(call: Call) -> dict[str, Any]:
    """Cancel a transfer that has not started."""
    row = _transfer(call)
    if isinstance(row, Snapshot) and snapshots.cancel(actor=call.actor, snapshot=row):
        row.refresh_from_db()
        return shapes_data.backup(row)
    raise ConflictError(f"{row.name} cannot be cancelled: it is {row.state}.")


@route(
    "GET", "/client/v11/databases/{database}/transfer-schedules", "account:read", also="data:read", returns="[schedule]"
)
def list_schedules(call: Call) -> list[dict[str, Any]]:
    """List the database's daily backup schedule, if there is one."""
    row = database_of(call, "data:read")
    return [shapes_data.schedule(found) for found in schedules.of(row)]


@route(
    "POST",
    "/client/v11/databases/{database}/transfer-schedules",
    "account:write",
    also="data:write",
    takes="schedule.create",
    returns="201 schedule",
)
def schedule(call: Call) -> Reply:
    """Schedule a daily backup: {hour, timezone, schedule_name}."""
    row = database_of(call, "data:write")
    hour = str(call.body.get("hour", ""))
    if not hour.isdecimal() or len(hour) > 2:
        raise UserError("hour must be 0 to 23.")
    name = call.text("schedule_name") or "DATABASE_URL"
    made = schedules.schedule(
        actor=call.actor, addon=row, hour=int(hour), timezone=call.text("timezone") or "UTC", name=name
    )
    return Reply(shapes_data.schedule(made), 201)


@route(
    "DELETE",
    "/client/v11/databases/{database}/transfer-schedules/{schedule}",
    "account:write",
    also="data:write",
    returns="schedule",
)
def unschedule(call: Call) -> dict[str, Any]:
    """Remove the daily backup schedule."""
    row = database_of(call, "data:write")
    return shapes_data.schedule(schedules.unschedule(actor=call.actor, addon=row))


@route("GET", "/postgres/v0/databases/{database}/credentials", "account:read", also="data:read", returns="[credential]")
def credentials(call: Call) -> list[dict[str, Any]]:
    """List the credentials: one, called default."""
    return [_credential(database_of(call, "data:read"))]


@route(
    "GET",
    "/postgres/v0/databases/{database}/credentials/{credential}",
    "account:read",
    also="data:read",
    returns="credential",
)
def credential(call: Call) -> dict[str, Any]:
    """Get the default credential, with its password."""
    row = database_of(call, "data:read")
    if call.params["credential"] != "default":
        raise NotFoundError(
            "Couldn't find that credential.", hint="there is one, called default", resource="credential"
        )
    return _credential(row)


def _credential(row: Addon) -> dict[str, Any]:
    place, _, port = queries.server().rpartition(":")
    user, password = row.data["role"], queries.url_of(row, HOME).password
    return {
        "uuid": str(row.id),
        "name": "default",
        "state": "active",
        "database": row.data["database"],
        "host": place,
        "port": int(port),
        "credentials": [{"user": user, "password": password, "state": "active", "connections": None}],
    }
