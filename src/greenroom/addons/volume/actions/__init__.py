"""Creates, measures, resizes and removes volumes. Their files are copied by ``snapshots`` and ``restores``."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import PLATFORM, Actor
from greenroom.addons.actions import note
from greenroom.addons.contract import Draft
from greenroom.addons.drivers.engines import engine
from greenroom.addons.models import Addon, Restore, Snapshot
from greenroom.addons.volume import queries, rules
from greenroom.apps.models import App
from greenroom.basics import clock, ids
from greenroom.basics.disk import DiskFullError
from greenroom.basics.errors import ConflictError
from greenroom.logs.actions import say

LOCK = 7_406
"""The advisory lock of the promises of space."""


def new_key() -> str:
    """A new key for files, never used before."""
    return f"files-{uuid.uuid4().hex}"


def draft(app: App) -> Draft:
    """The row of a new volume without its options."""
    return Draft(name=f"volume-{app.name}-{ids.new_secret(6)[:5]}", data={"key": new_key()})


def choose(*, app: App, given: Mapping[str, object], home: Path) -> dict[str, Any]:
    """The data of a new volume, in the caller's transaction with the app's lock. UserError for a wrong path or size,
    ConflictError if the path or the number is taken, DiskFullError if the disk has no room.
    """
    data = rules.options(given, list(queries.of_app(app).values_list("data", flat=True)))
    _promise(data["size"], home)
    return data


def _promise(size: int, home: Path, *, to: Addon | None = None) -> None:
    """Refuse a size for which there is no room. Holds a lock until the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    refused = rules.too_large(size, most=queries.most(), free=queries.room(home, but=to))
    if refused:
        raise DiskFullError(refused[0], hint=refused[1])


@transaction.atomic
def resize(*, actor: Actor, addon: Addon, size: object, home: Path) -> Addon:
    """Give the volume another size, which the worker applies at its next look. UserError, DiskFullError; ConflictError
    for a size below the present use.
    """
    wanted = rules.bytes_of(size)
    row = Addon.objects.select_for_update(no_key=True).select_related("app").get(pk=addon.pk)
    if wanted > row.data["size"]:
        _promise(wanted, home, to=row)
    elif wanted < row.data.get("bytes", 0):
        used = rules.shown(row.data["bytes"])
        raise ConflictError(
            f"{queries.name_of(row)} has {used} of files, more than {rules.shown(wanted)}.",
            hint=f"delete files first: greenroom run bash -a {row.app.name}",
        )
    note(row, {"size": wanted})
    audit(actor=actor, action="addon.change", app=row.app, detail={"addon": row.name, "size": wanted})
    return row


def remove(*, addon: Addon, home: Path) -> None:
    """Remove the files with those of snapshots and of open restores. Idempotent."""
    it = engine(home)
    taken = dict(Snapshot.objects.filter(addon=addon).values_list("pk", "file"))
    asked = dict(Restore.objects.filter(addon=addon, finished_at=None).values_list("pk", "copy"))
    for pk in (*taken, *asked):
        it.forget(copy_dyno(pk))
    for key in sorted({str(addon.data["key"]), *taken.values(), *asked.values()}):
        it.discard(queries.artefact(addon, key))


def copy_dyno(pk: uuid.UUID) -> str:
    """The engine's id of the dyno that copies files for a snapshot or a restore."""
    return f"volume-copy-{pk.hex}"


def measure(*, addon: Addon, home: Path) -> bool:
    """Measure the volume, and record and report a change of its level. Returns whether its dynos must start again,
    because it became read-only or writable.
    """
    used = engine(home).usage(queries.artefact(addon))
    before = str(addon.data.get("level", ""))
    now = rules.level(used.bytes, int(addon.data["size"]), before, complete=used.complete)
    facts = {"bytes": used.bytes, "files": used.files, "level": now}
    if "measured" in addon.data and all(addon.data.get(name) == value for name, value in facts.items()):
        return False
    turned = (now == rules.FULL) != (before == rules.FULL)
    note(addon, {**facts, "measured": clock.heroku_time(clock.now()), **({"restart": True} if turned else {})})
    if now != before:
        _tell(addon, home, before, complete=used.complete)
    return turned


def _tell(addon: Addon, home: Path, before: str, *, complete: bool) -> None:
    name, data = queries.name_of(addon), addon.data
    app = addon.app
    facts: dict[str, Any] = {"used": data["bytes"], "size": data["size"], "now": data["level"], "before": before}
    audit(
        actor=PLATFORM,
        action="addon.quota",
        app=app,
        detail={"addon": addon.name, "bytes": data["bytes"], "over": data["level"]},
    )
    text = rules.told(name, app=app.name, complete=complete, **facts)
    say(app=app, home=home, process="volume", text=text)


def end_writers(*, addon: Addon, home: Path) -> None:
    """End the one-off dynos of the app, which can write to its full volume, because the disk's reserve is in use."""
    it, owner = engine(home), addon.app_id.hex
    for state in it.list():
        if state.owner == owner and state.kind in ("run", "release") and not state.ended:
            text = f"Greenroom's disk is full, and the volume {queries.name_of(addon)} is beyond its size: ended"
            say(app=addon.app, home=home, process=state.process, text=text)
            it.signal(state.id, "KILL")


def restarted(addon: Addon) -> None:
    """Its dynos were told to start again."""
    note(addon, {"restart": False})
