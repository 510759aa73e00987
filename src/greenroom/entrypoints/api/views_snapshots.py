"""The API of snapshots and restores, Greenroom's own resources beside Heroku's backups. The worker runs them; callers
poll.
"""

from __future__ import annotations

from typing import Any

from greenroom.addons import queries as addons
from greenroom.addons.actions import snapshots
from greenroom.addons.models import Addon, Restore, Snapshot
from greenroom.apps.models import App
from greenroom.apps.queries import authorise
from greenroom.basics.clock import heroku_time
from greenroom.basics.errors import NotFoundError, UserError
from greenroom.deliveries.actions import addon_data
from greenroom.entrypoints.api import shapes_data
from greenroom.entrypoints.api.drivers import engine
from greenroom.entrypoints.api.listing import Listing, each
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route


def database_of(app: App) -> Addon:
    """The app's database. NotFoundError if it has none."""
    addon = addons.database_of(app)
    if addon is None:
        raise NotFoundError(
            f"{app.name} has no database.",
            hint=f"heroku addons:create heroku-postgresql -a {app.name}",
            resource="add_on",
        )
    return addon


def snapshot_shape(row: Snapshot) -> dict[str, Any]:
    """A snapshot. ``size_bytes`` is the file's size, ``database_bytes`` that of the database."""
    return shapes_data.snapshot_facts(row) | {
        "pinned": row.pinned,
        "release": {"version": row.release_version} if row.release_version else None,
        "addon": row.addon.name,
        "tables": row.tables,
        "migrations": [".".join(pair) for pair in row.migration_state],
        "database_bytes": row.database_size,
        "sha256": row.sha256 or None,
    }


def restore_shape(row: Restore) -> dict[str, Any]:
    """A restore with its steps."""
    return shapes_data.restore_facts(row) | {
        "kept_database": row.kept or None,
        "kept_until": heroku_time(row.kept_until),
        "swap_seconds": row.swap_seconds,
        "addon": row.addon.name,
        "steps": [
            {"state": step.state, "detail": step.detail, "at": heroku_time(step.at)}
            for step in sorted(row.steps.all(), key=lambda step: step.pk)
        ],
    }


@route("GET", "/apps/{app}/pg/snapshots", "data:read", paged="created_at", returns="[snapshot]")
def list_snapshots(call: Call) -> Listing:
    """List the snapshots of the app's databases, newest first."""
    return Listing(addons.snapshots_of(call.app), each(snapshot_shape), "-created_at")


@route("POST", "/apps/{app}/pg/snapshots", "data:snapshot", takes="snapshot.create", returns="201 snapshot")
def capture_snapshot(call: Call) -> Reply:
    """Request a snapshot: {reason, pinned}. The response's state is ``wanted``.

    A pinned one requires the permission to pin.
    """
    pinned = call.body.get("pinned", False)
    if not isinstance(pinned, bool):
        raise UserError("pinned must be true or false.")
    if pinned:
        authorise(call.actor, call.app.name, "data:write")
    row = addon_data.save(actor=call.actor, addon=database_of(call.app), reason=call.text("reason"), pinned=pinned)
    return Reply(snapshot_shape(row), 201)


@route("GET", "/apps/{app}/pg/snapshots/{snapshot}", "data:read", returns="snapshot")
def get_snapshot(call: Call) -> dict[str, Any]:
    """Get one snapshot, with the data that a restore of it would discard now."""
    row = addons.snapshot(call.app, call.params["snapshot"])
    lost = addons.loss(row) if row.state == "succeeded" else None
    return snapshot_shape(row) | {
        "loss": {
            "seconds": round(lost.seconds),
            "writes": lost.writes,
            "migrations": lost.migrations,
            "tables": lost.tables,
        }
        if lost
        else None
    }


@route("PATCH", "/apps/{app}/pg/snapshots/{snapshot}", "data:write", takes="snapshot.update", returns="snapshot")
def change_snapshot(call: Call) -> dict[str, Any]:
    """Pin or unpin a snapshot: {pinned}."""
    row = addons.snapshot(call.app, call.params["snapshot"])
    pinned = call.body.get("pinned")
    if not isinstance(pinned, bool):
        raise UserError("pinned must be true or false.")
    return snapshot_shape(snapshots.pin(actor=call.actor, snapshot=row, pinned=pinned))


@route("DELETE", "/apps/{app}/pg/snapshots/{snapshot}", "data:write", returns="snapshot")
def delete_snapshot(call: Call) -> dict[str, Any]:
    """Delete a snapshot with its file."""
    row = addons.snapshot(call.app, call.params["snapshot"])
    shape = snapshot_shape(row)
    snapshots.delete(actor=call.actor, snapshot=row, home=HOME)
    return shape


@route("POST", "/apps/{app}/pg/snapshots/{snapshot}/actions/restore", "data:write", returns="202 restore")
def restore_snapshot(call: Call) -> Reply:
    """Request a restore of the database from the snapshot. The response's state is ``wanted``."""
    row = addons.snapshot(call.app, call.params["snapshot"])
    made = addon_data.restore(actor=call.actor, addon=row.addon, snapshot=row, engine=engine())
    return Reply(restore_shape(made), 202)


@route("GET", "/apps/{app}/pg/restores", "data:read", paged="created_at", returns="[restore]")
def list_restores(call: Call) -> Listing:
    """List the restores of the app's databases, newest first."""
    return Listing(addons.restores_of(call.app), each(restore_shape), "-created_at")


@route("GET", "/apps/{app}/pg/restores/{restore}", "data:read", returns="restore")
def get_restore(call: Call) -> dict[str, Any]:
    """Get one restore."""
    return restore_shape(addons.restore(call.app, call.params["restore"]))
