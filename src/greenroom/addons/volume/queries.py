"""Reads volumes: where they are, what dynos see of them, what they take and may take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from greenroom.addons.models import Addon, Restore, Snapshot
from greenroom.addons.queries import addons
from greenroom.addons.volume import rules
from greenroom.apps.models import App
from greenroom.basics import disk
from greenroom.basics.errors import NotFoundError
from greenroom.engine import names
from greenroom.engine.contract import Mount

KIND = rules.SERVICE.kind


def artefact(addon: Addon, key: str = "") -> str:
    """The name of the volume's files, or of those with another key, such as a snapshot's."""
    return names.volume(addon.app_id.hex, key or str(addon.data["key"]))


def mounts(rows: Sequence[Addon], *, dyno: str) -> tuple[Mount, ...]:
    """The mounts of the volumes in a dyno of that kind.

    ``probe`` (radar, rehearsal): the files, with writes that end with the dyno. ``run``: always writable, so that a
    user can delete files of a full volume. Others: writable unless it is full.
    """
    return tuple(_mount(addon, dyno) for addon in sorted(rows, key=lambda row: str(row.data["path"])))


def _mount(addon: Addon, dyno: str) -> Mount:
    target, source = str(addon.data["path"]), artefact(addon)
    if dyno == "probe":
        return Mount(target=target, lower=(source,), mode="overlay")
    full = addon.data.get("level") == rules.FULL and dyno != "run"
    return Mount(target=target, source=source, mode="ro" if full else "rw")


def in_tests(rows: Sequence[Addon]) -> tuple[dict[str, str], tuple[Mount, ...]]:
    """Config vars and empty folders of a test run, at the paths of the volumes."""
    ordered = sorted(rows, key=lambda row: str(row.data["path"]))
    values = {f"{one.name}_PATH": str(row.data["path"]) for row in ordered for one in row.attachments.all()}
    folders = (
        Mount(target=str(row.data["path"]), source=names.scratch(f"volume{number}"), mode="rw")
        for number, row in enumerate(ordered)
    )
    return values, tuple(folders)


def of_app(app: App) -> QuerySet[Addon]:
    """The app's volumes, oldest first."""
    return addons().filter(app=app, kind=KIND).prefetch_related("attachments")


def name_of(addon: Addon) -> str:
    """The volume's name in its app: ``media``."""
    first = min(addon.attachments.all(), key=lambda row: row.created_at, default=None)
    return rules.name_of(first.name) if first else addon.name


def find(app: App, name: str) -> Addon:
    """The app's volume of that name, or of that add-on's name, id or config var. NotFoundError."""
    wanted = name.upper().replace("-", "_").removesuffix("_PATH")
    known = {wanted, f"{rules.PREFIX}_{wanted}"}
    for row in of_app(app):
        if name in (row.name, str(row.pk)) or known & {one.name for one in row.attachments.all()}:
            return row
    there = ", ".join(name_of(row) for row in of_app(app))
    raise NotFoundError(
        f"{app.name} has no volume {name[:40]!r}.",
        hint=f"volumes: {there}" if there else f"greenroom volumes:create media --at /app/media -a {app.name}",
        resource="volume",
    )


def room(home: Path, *, but: Addon | None = None) -> int:
    """Bytes of the disk beside its reserve that no volume was promised. but: without the promise to this volume."""
    rows = addons().filter(kind=KIND).values_list("pk", "data")
    promised = sum(max(0, data["size"] - data.get("bytes", 0)) for pk, data in rows if but is None or pk != but.pk)
    return disk.left(home) - promised + (int(but.data.get("bytes", 0)) if but else 0)


def most() -> int:
    """The largest size of one volume in bytes; 0: any."""
    return int(settings.VOLUME_MB) * 1_000_000


def info(addon: Addon) -> dict[str, Any]:
    """Place, use and limit. bytes and files are as of the last measurement."""
    data = addon.data
    return {
        "name": addon.name,
        "state": addon.state,
        "plan": addon.plan,
        "path": data["path"],
        "size_bytes": data["size"],
        "used_bytes": data.get("bytes", 0),
        "files": data.get("files", 0),
        "level": data.get("level", ""),
        "measured_at": data.get("measured"),
    }


def snapshots(addon: Addon) -> QuerySet[Snapshot]:
    """The volume's snapshots except those in deletion, newest first."""
    return Snapshot.objects.filter(addon=addon).exclude(state="deleting").order_by("-number")


def snapshot(addon: Addon, name: str) -> Snapshot:
    """The volume's snapshot ``b001``. NotFoundError."""
    number = name.removeprefix("b")
    rows = snapshots(addon).select_related("addon__app")
    found = rows.filter(number=int(number)).first() if number.isdecimal() and len(number) < 9 else None
    if found is None:
        raise NotFoundError(
            f"{name_of(addon)} has no snapshot {name[:40]!r}.",
            hint=f"greenroom volumes:snapshots {name_of(addon)} -a {addon.app.name}",
            resource="snapshot",
        )
    return found


def restore(addon: Addon, name: str) -> Restore:
    """The volume's restore ``r002``. NotFoundError."""
    number = name.removeprefix("r")
    rows = Restore.objects.filter(addon=addon).select_related("addon__app", "snapshot", "saved")
    found = rows.filter(number=int(number)).first() if number.isdecimal() and len(number) < 9 else None
    if found is None:
        raise NotFoundError(f"{name_of(addon)} has no restore {name[:40]!r}.", resource="restore")
    return found
