"""The API of snapshots and restores, Greenroom's own resources beside Heroku's backups. The worker runs them; callers
poll.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction

from greenroom.accounts.rules import Actor
from greenroom.addons import queries as addons
from greenroom.addons.models import Addon, Restore, Snapshot
from greenroom.addons.postgres import queries
from greenroom.addons.postgres.actions import snapshots
from greenroom.app_migrations import actions as migrations
from greenroom.app_migrations.models import MigrationRun
from greenroom.apps.actions import lock_apps
from greenroom.apps.models import App
from greenroom.apps.queries import authorise
from greenroom.basics.clock import heroku_time
from greenroom.basics.errors import ConflictError, NotFoundError, UserError
from greenroom.deliveries.actions import wake
from greenroom.dynos.queries import live
from greenroom.entrypoints.api.drivers import engine
from greenroom.entrypoints.api.listing import Listing, each
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route


def release_version(app: App) -> int | None:
    """The version of the live release."""
    rollout = live(app)
    return rollout.release.version if rollout else None


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


def refuse_while_migrating(app: App) -> None:
    """ConflictError while a user's migrate command runs: it would continue in the database that is being replaced.

    The engine is queried for an end that the rows do not show yet, although the user may have seen it. This may take a
    moment: call it outside of transactions. A command that starts right after is detected by ``ask_for_restore``.
    """
    _refuse(app, migrations.migrating(app=app, engine=engine()))


def ask_for_restore(*, actor: Actor, addon: Addon, snapshot: Snapshot | None) -> Restore:
    """Request a restore, or without a snapshot a reset, from the worker.

    ConflictError while a user migrates or has just started to. A migrate command checks for restores under the lock of
    its app, and this function checks for migrate commands under the same lock: one of the two sees the other.
    """
    app = addon.app
    refuse_while_migrating(app)
    with transaction.atomic():
        lock_apps([app.pk])
        _refuse(app, migrations.migrating(app=app))
        return addons.restores_for(addon).ask(
            actor=actor, addon=addon, snapshot=snapshot, release_version=release_version(app)
        )


def _refuse(app: App, run: MigrationRun | None) -> None:
    if run:
        raise ConflictError(
            f"Migrations of {app.name} are running ({run.dyno.name}).",
            hint=f"wait for them, or: greenroom ps:stop {run.dyno.name} -a {app.name}",
        )


def snapshot_shape(row: Snapshot) -> dict[str, Any]:
    """A snapshot. ``size_bytes`` is the file's size, ``database_bytes`` that of the database."""
    return {
        "id": str(row.id),
        "name": row.name,
        "kind": row.kind,
        "state": row.state,
        "reason": row.reason or None,
        "pinned": row.pinned,
        "by": row.by,
        "release": {"version": row.release_version} if row.release_version else None,
        "addon": row.addon.name,
        "tables": row.tables,
        "migrations": [".".join(pair) for pair in row.migration_state],
        "size_bytes": row.size,
        "database_bytes": row.database_size,
        "seconds": row.seconds,
        "sha256": row.sha256 or None,
        "failure": row.failure or None,
        "created_at": heroku_time(row.created_at),
        "finished_at": heroku_time(row.finished_at),
    }


def restore_shape(row: Restore) -> dict[str, Any]:
    """A restore with its steps."""
    return {
        "id": str(row.id),
        "name": row.name,
        "state": row.state,
        "snapshot": row.snapshot.name if row.snapshot else None,
        "saved": row.saved.name if row.saved else None,
        "kept_database": row.kept or None,
        "kept_until": heroku_time(row.kept_until),
        "by": row.by,
        "failure": row.failure or None,
        "swap_seconds": row.swap_seconds,
        "addon": row.addon.name,
        "steps": [
            {"state": step.state, "detail": step.detail, "at": heroku_time(step.at)}
            for step in sorted(row.steps.all(), key=lambda step: step.pk)
        ],
        "created_at": heroku_time(row.created_at),
        "finished_at": heroku_time(row.finished_at),
    }


@route("GET", "/apps/{app}/pg/snapshots", "data:read", paged="created_at", returns="[snapshot]")
def list_snapshots(call: Call) -> Listing:
    """List the snapshots of the app's databases, newest first."""
    return Listing(queries.snapshots_of(call.app), each(snapshot_shape), "-created_at")


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
    addon = database_of(call.app)
    row = addons.snapshots_for(addon).ask(
        actor=call.actor,
        addon=addon,
        reason=call.text("reason"),
        pinned=pinned,
        release_version=release_version(call.app),
    )
    wake()
    return Reply(snapshot_shape(row), 201)


@route("GET", "/apps/{app}/pg/snapshots/{snapshot}", "data:read", returns="snapshot")
def get_snapshot(call: Call) -> dict[str, Any]:
    """Get one snapshot, with the data that a restore of it would discard now."""
    row = queries.snapshot(call.app, call.params["snapshot"])
    lost = queries.loss(row) if row.state == "succeeded" else None
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
    row = queries.snapshot(call.app, call.params["snapshot"])
    pinned = call.body.get("pinned")
    if not isinstance(pinned, bool):
        raise UserError("pinned must be true or false.")
    return snapshot_shape(snapshots.pin(actor=call.actor, snapshot=row, pinned=pinned))


@route("DELETE", "/apps/{app}/pg/snapshots/{snapshot}", "data:write", returns="snapshot")
def delete_snapshot(call: Call) -> dict[str, Any]:
    """Delete a snapshot with its file."""
    row = queries.snapshot(call.app, call.params["snapshot"])
    shape = snapshot_shape(row)
    snapshots.delete(actor=call.actor, snapshot=row, home=HOME)
    return shape


@route("POST", "/apps/{app}/pg/snapshots/{snapshot}/actions/restore", "data:write", returns="202 restore")
def restore_snapshot(call: Call) -> Reply:
    """Request a restore of the database from the snapshot. The response's state is ``wanted``."""
    row = queries.snapshot(call.app, call.params["snapshot"])
    made = ask_for_restore(actor=call.actor, addon=row.addon, snapshot=row)
    wake()
    return Reply(restore_shape(made), 202)


@route("GET", "/apps/{app}/pg/restores", "data:read", paged="created_at", returns="[restore]")
def list_restores(call: Call) -> Listing:
    """List the restores of the app's databases, newest first."""
    return Listing(queries.restores_of(call.app), each(restore_shape), "-created_at")


@route("GET", "/apps/{app}/pg/restores/{restore}", "data:read", returns="restore")
def get_restore(call: Call) -> dict[str, Any]:
    """Get one restore."""
    return restore_shape(queries.restore(call.app, call.params["restore"]))
