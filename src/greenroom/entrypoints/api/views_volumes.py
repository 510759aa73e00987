"""The API of volumes, Greenroom's own resource beside Heroku's add-ons: place, size, snapshots, restores."""

from __future__ import annotations

from typing import Any

from greenroom.addons.models import Addon
from greenroom.addons.volume import actions, queries, rules
from greenroom.addons.volume.actions import restores, snapshots
from greenroom.basics.clock import heroku_time
from greenroom.basics.errors import ConflictError
from greenroom.deliveries.actions import addon_lifecycle
from greenroom.entrypoints.api import shapes
from greenroom.entrypoints.api.listing import Listing, each
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route
from greenroom.entrypoints.api.shapes_data import restore_facts, snapshot_facts

QUOTA = "measured"
"""How the size is enforced: the worker measures, and a full volume is read-only from the next start of its dynos."""


def volume_shape(row: Addon) -> dict[str, Any]:
    """A volume. used_bytes and files are as of ``measured_at``."""
    data = row.data
    return {
        "id": str(row.id),
        "name": queries.name_of(row),
        "addon": row.name,
        "state": row.state,
        "path": data["path"],
        "config_vars": sorted(f"{one.name}_PATH" for one in row.attachments.all()),
        "size_bytes": data["size"],
        "used_bytes": data.get("bytes", 0),
        "files": data.get("files", 0),
        "level": data.get("level") or None,
        "quota": QUOTA,
        "measured_at": data.get("measured"),
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


def _volume(call: Call) -> Addon:
    return queries.find(call.app, call.params["volume"])


@route("GET", "/apps/{app}/volumes", "view", returns="[app-volume]")
def list_volumes(call: Call) -> Listing:
    """List the app's volumes."""
    return Listing(queries.of_app(call.app), each(volume_shape))


@route("POST", "/apps/{app}/volumes", "data:write", takes="app-volume.create", returns="201 app-volume")
def create_volume(call: Call) -> Reply:
    """Create a volume: {name, at, size}. The app gets its config var in a release, which restarts its dynos."""
    name = call.text("name", required=True)
    wanted = rules.attachment_of(name)
    if call.app.attachments.filter(name=wanted).exists():
        raise ConflictError(f"{call.app.name} has a volume {name}.", hint=f"greenroom volumes -a {call.app.name}")
    options = {key: call.body[key] for key in ("at", "size") if call.body.get(key) is not None}
    row = addon_lifecycle.create(
        actor=call.actor,
        app=call.app,
        home=HOME,
        kind=queries.KIND,
        name="",
        wanted=wanted,
        confirmed=False,
        options=options,
    )
    return Reply(volume_shape(queries.find(call.app, str(row.pk))), 201, shapes.news_of(call.app))


@route("GET", "/apps/{app}/volumes/{volume}", "view", returns="app-volume")
def get_volume(call: Call) -> dict[str, Any]:
    """Get one volume, by its name or the add-on's name."""
    return volume_shape(_volume(call))


@route("PATCH", "/apps/{app}/volumes/{volume}", "data:write", takes="app-volume.update", returns="app-volume")
def resize_volume(call: Call) -> dict[str, Any]:
    """Change the size: {size}. Dynos notice nothing, unless the volume was full."""
    row = _volume(call)
    actions.resize(actor=call.actor, addon=row, size=call.body.get("size"), home=HOME)
    return volume_shape(_volume(call))


@route("DELETE", "/apps/{app}/volumes/{volume}", "data:write", returns="app-volume")
def destroy_volume(call: Call) -> dict[str, Any]:
    """Destroy the volume with its files and snapshots."""
    row = _volume(call)
    shape = volume_shape(row)
    addon_lifecycle.destroy(actor=call.actor, addon=row, home=HOME, force=False)
    return {**shape, "state": "deprovisioned"}


@route("GET", "/apps/{app}/volumes/{volume}/snapshots", "data:read", returns="[volume-snapshot]")
def list_volume_snapshots(call: Call) -> Listing:
    """List the volume's snapshots, newest first."""
    return Listing(queries.snapshots(_volume(call)), each(snapshot_facts))


@route(
    "POST",
    "/apps/{app}/volumes/{volume}/snapshots",
    "data:snapshot",
    takes="volume-snapshot.create",
    returns="201 volume-snapshot",
)
def take_volume_snapshot(call: Call) -> Reply:
    """Request a snapshot: {reason}. The response's state is ``wanted``."""
    row = snapshots.ask(actor=call.actor, addon=_volume(call), reason=call.text("reason"), home=HOME)
    return Reply(snapshot_facts(row), 201)


@route("GET", "/apps/{app}/volumes/{volume}/snapshots/{volume_snapshot}", "data:read", returns="volume-snapshot")
def get_volume_snapshot(call: Call) -> dict[str, Any]:
    """Get one snapshot."""
    return snapshot_facts(queries.snapshot(_volume(call), call.params["volume_snapshot"]))


@route("DELETE", "/apps/{app}/volumes/{volume}/snapshots/{volume_snapshot}", "data:write", returns="volume-snapshot")
def delete_volume_snapshot(call: Call) -> dict[str, Any]:
    """Delete a snapshot with its files."""
    row = queries.snapshot(_volume(call), call.params["volume_snapshot"])
    snapshots.delete(actor=call.actor, snapshot=row)
    return snapshot_facts(row)


@route(
    "POST",
    "/apps/{app}/volumes/{volume}/snapshots/{volume_snapshot}/actions/restore",
    "data:write",
    returns="202 volume-restore",
)
def restore_volume(call: Call) -> Reply:
    """Request a restore of the volume. The present files become a snapshot; the dynos start again."""
    addon = _volume(call)
    row = queries.snapshot(addon, call.params["volume_snapshot"])
    return Reply(restore_facts(restores.ask(actor=call.actor, addon=addon, snapshot=row, home=HOME)), 202)


@route("GET", "/apps/{app}/volumes/{volume}/restores/{volume_restore}", "data:read", returns="volume-restore")
def get_volume_restore(call: Call) -> dict[str, Any]:
    """Get one restore."""
    return restore_facts(queries.restore(_volume(call), call.params["volume_restore"]))
