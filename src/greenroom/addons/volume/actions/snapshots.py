"""Snapshots of volumes: copies of the files in the engine, beside them. The worker makes and removes them.

Each step is a row before its side effect: wanted (row), running (a dyno copies), succeeded or failed, deleting.
"""

from __future__ import annotations

import uuid
from pathlib import Path

from django.db import transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.addons.actions.snapshots import next_number
from greenroom.addons.drivers.engines import engine
from greenroom.addons.models import Addon, Restore, Snapshot
from greenroom.addons.volume import queries
from greenroom.addons.volume.actions import copy_dyno, new_key
from greenroom.addons.volume.drivers import copies
from greenroom.basics import clock, disk
from greenroom.basics.errors import ConflictError

KEPT = 5
"""Complete snapshots of one volume that are kept, besides pinned ones: each takes the space of all its files."""
OPEN = ("wanted", "running")


@transaction.atomic
def ask(*, actor: Actor, addon: Addon, home: Path, reason: str = "", kind: str = "manual") -> Snapshot:
    """Request a snapshot from the worker. ConflictError if one of the volume is open; DiskFullError without space."""
    number = next_number(addon.app)
    name = queries.name_of(addon)
    if Snapshot.objects.filter(addon=addon, state__in=OPEN).exists():
        raise ConflictError(
            f"A snapshot of {name} is already being taken.",
            hint=f"greenroom volumes:snapshots {name} -a {addon.app.name}",
        )
    disk.guard(home, "snapshots of volumes", need=int(addon.data.get("bytes", 0)))
    row = Snapshot.objects.create(
        addon=addon, number=number, kind=kind, reason=reason[:300], by=actor.email, file=new_key()
    )
    detail = {"snapshot": row.name, "kind": kind, "addon": addon.name}
    audit(actor=actor, action="snapshot.create", app=addon.app, detail=detail)
    return row


def advance(*, snapshot: Snapshot, home: Path) -> None:
    """Take one step of an open snapshot; never waits."""
    it, dyno, addon = engine(home), copy_dyno(snapshot.pk), snapshot.addon
    if not Snapshot.objects.filter(pk=snapshot.pk, state__in=OPEN).update(state="running"):
        return
    state = it.describe(dyno)
    if state is None:
        source = str(addon.data["key"])
        refused = copies.start(it, dyno=dyno, addon=addon, source=source, target=snapshot.file)
        if refused:
            _finish(snapshot, size=0, failure=refused, seconds=0.0)
    elif state.ended:
        problem = copies.problem(state)
        size = it.usage(queries.artefact(addon, snapshot.file)).bytes
        _finish(snapshot, size=size, failure=problem, seconds=state.exited_at - state.started_at)
        if problem:
            it.discard(queries.artefact(addon, snapshot.file))
        it.forget(dyno)


def _finish(row: Snapshot, *, size: int, failure: str, seconds: float) -> None:
    now = clock.now()
    facts = {"state": "failed" if failure else "succeeded", "failure": failure, "size": 0 if failure else size}
    Snapshot.objects.filter(pk=row.pk, state="running").update(
        **facts, seconds=round(max(0.0, seconds), 3), finished_at=now, updated_at=now
    )


@transaction.atomic
def delete(*, actor: Actor, snapshot: Snapshot) -> None:
    """Mark the snapshot for removal by the worker. ConflictError if it is being taken, or an open restore needs it."""
    row = Snapshot.objects.select_for_update(no_key=True).select_related("addon__app").get(pk=snapshot.pk)
    if row.state in OPEN or Restore.objects.filter(snapshot=row, finished_at=None).exists():
        raise ConflictError(f"{row.name} is in use now.", hint="try again when the work on it has ended")
    audit(actor=actor, action="snapshot.delete", app=row.addon.app, detail={"snapshot": row.name})
    Snapshot.objects.filter(pk=row.pk).update(state="deleting")


def retain(addon: Addon) -> None:
    """Mark the oldest complete snapshots beyond KEPT, and all but the newest failed one, for removal."""
    used = Restore.objects.filter(addon=addon, finished_at=None).exclude(snapshot=None).values("snapshot_id")
    rows = Snapshot.objects.filter(addon=addon, pinned=False).exclude(pk__in=used).order_by("-number")
    for state, most in (("succeeded", KEPT), ("failed", 1)):
        old: list[uuid.UUID] = list(rows.filter(state=state).values_list("pk", flat=True)[most:])
        Snapshot.objects.filter(pk__in=old).update(state="deleting")


def erase(*, snapshot: Snapshot, home: Path) -> None:
    """Remove the files and the row of a snapshot that is marked for it. Idempotent."""
    it = engine(home)
    it.forget(copy_dyno(snapshot.pk))
    it.discard(queries.artefact(snapshot.addon, snapshot.file))
    Snapshot.objects.filter(pk=snapshot.pk, state="deleting").delete()
