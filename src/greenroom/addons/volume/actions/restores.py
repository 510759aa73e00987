"""Restores a volume from a snapshot: copies the files beside the present ones, and then exchanges them in the row.

The present files become a snapshot, so a restore can be undone. States: wanted (a dyno copies), swapped (the row names
the restored files), done (the dyno's app was told), failed.
"""

from __future__ import annotations

from pathlib import Path

from django.db import transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.addons.actions.snapshots import next_number
from greenroom.addons.drivers.engines import engine
from greenroom.addons.models import Addon, Restore, RestoreStep, Snapshot
from greenroom.addons.volume import queries
from greenroom.addons.volume.actions import copy_dyno, new_key
from greenroom.addons.volume.drivers import copies
from greenroom.basics import clock, disk
from greenroom.basics.errors import ConflictError


@transaction.atomic
def ask(*, actor: Actor, addon: Addon, snapshot: Snapshot, home: Path) -> Restore:
    """Request a restore from the worker. ConflictError if the snapshot is incomplete or another restore is open;
    DiskFullError without space for the copy.
    """
    number = next_number(addon.app)
    if snapshot.state != "succeeded":
        raise ConflictError(f"{snapshot.name} cannot be restored: it is {snapshot.state}.")
    if Restore.objects.filter(addon=addon, finished_at=None).exists():
        raise ConflictError(f"{queries.name_of(addon)} is already being restored.", hint="wait for its end")
    disk.guard(home, "restores of volumes", need=snapshot.size)
    row = Restore.objects.create(addon=addon, snapshot=snapshot, number=number, by=actor.email, copy=new_key())
    RestoreStep.objects.create(restore=row, state="wanted")
    detail = {"snapshot": snapshot.name, "restore": row.name, "addon": addon.name}
    audit(actor=actor, action="volume.restore", app=addon.app, detail=detail)
    return row


def advance(*, restore: Restore, home: Path) -> None:
    """Take one step of a wanted restore; never waits."""
    it, dyno, addon = engine(home), copy_dyno(restore.pk), restore.addon
    if restore.snapshot is None:
        return _fail(restore, "The snapshot was removed.")
    state = it.describe(dyno)
    if state is None:
        source = restore.snapshot.file
        refused = copies.start(it, dyno=dyno, addon=addon, source=source, target=restore.copy)
        if refused:
            _fail(restore, refused)
    elif state.ended:
        problem = copies.problem(state)
        if problem:
            it.discard(queries.artefact(addon, restore.copy))
            _fail(restore, problem)
        else:
            _swap(restore)
        it.forget(dyno)
    return None


@transaction.atomic
def _swap(restore: Restore) -> None:
    """wanted -> swapped: the row names the restored files, and the former ones become a snapshot."""
    number = next_number(restore.addon.app)
    row = Addon.objects.select_for_update(no_key=True).get(pk=restore.addon_id)
    now = clock.now()
    saved = Snapshot.objects.create(
        addon=row,
        number=number,
        kind="before_restore",
        state="succeeded",
        reason=f"before {restore.name}",
        by=restore.by,
        size=row.data.get("bytes", 0),
        file=row.data["key"],
        finished_at=now,
    )
    row.data |= {"key": restore.copy}
    row.save(update_fields=["data", "updated_at"])
    _to(restore, "swapped", saved=saved)


def conclude(restore: Restore) -> None:
    """swapped -> done: the dynos were told to start again."""
    _to(restore, "done", finished_at=clock.now())


def _fail(restore: Restore, why: str) -> None:
    _to(restore, "failed", failure=why[:2000], finished_at=clock.now())


@transaction.atomic
def _to(restore: Restore, state: str, **facts: object) -> None:
    Restore.objects.filter(pk=restore.pk).update(state=state, updated_at=clock.now(), **facts)
    RestoreStep.objects.create(restore=restore, state=state, detail=str(facts.get("failure", ""))[:300])
