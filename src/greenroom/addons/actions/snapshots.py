"""Pins, cancels and removes snapshots of add-ons of any kind. The kind takes them."""

from __future__ import annotations

from pathlib import Path

from django.db import transaction
from django.db.models import Max

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.addons.models import Restore, Snapshot
from greenroom.apps.actions import lock_app
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError


def next_number(app: App) -> int:
    """The next number of the app's snapshots and restores; call it inside the transaction that uses it."""
    lock_app(app.pk)
    tops = [
        model.objects.filter(addon__app=app).aggregate(top=Max("number"))["top"] or 0 for model in (Snapshot, Restore)
    ]
    return max(tops) + 1


def delete(*, actor: Actor, snapshot: Snapshot, home: Path) -> None:
    """Remove the file and the row. ConflictError if it is pinned, in progress, or needed by an open restore."""
    with transaction.atomic():
        row = Snapshot.objects.select_for_update(no_key=True).get(pk=snapshot.pk)
        if row.pinned:
            raise ConflictError(
                f"{row.name} is pinned.", hint=f"greenroom pg:snapshots:unpin {row.name} -a {row.addon.app.name}"
            )
        if row.state == "running" or Restore.objects.filter(snapshot=row, finished_at=None).exists():
            raise ConflictError(f"{row.name} is in use now.", hint="try again when the work on it has ended")
        audit(actor=actor, action="snapshot.delete", app=row.addon.app, detail={"snapshot": row.name})
        Snapshot.objects.filter(pk=row.pk).update(state="deleting")
    remove(row, home)


def remove_file(row: Snapshot, home: Path) -> None:
    """Remove the file, complete or not. Raises OSError."""
    for name in (row.file, row.file + ".part"):
        (home / name).unlink(missing_ok=True)


def remove(row: Snapshot, home: Path) -> None:
    """Remove the file, complete or not, and the row."""
    remove_file(row, home)
    Snapshot.objects.filter(pk=row.pk).delete()


@transaction.atomic
def cancel(*, actor: Actor, snapshot: Snapshot) -> bool:
    """Cancel a request that has not started; False if it is too late."""
    facts = {
        "state": "failed",
        "failure": f"Cancelled by {actor.email}.",
        "finished_at": clock.now(),
        "updated_at": clock.now(),
    }
    if not Snapshot.objects.filter(pk=snapshot.pk, state="wanted").update(**facts):
        return False
    audit(actor=actor, action="snapshot.cancel", app=snapshot.addon.app, detail={"snapshot": snapshot.name})
    return True


def note_link(*, actor: Actor, snapshot: Snapshot, seconds: int) -> None:
    """Record that a user requested a link to the file."""
    audit(
        actor=actor,
        action="snapshot.link",
        app=snapshot.addon.app,
        detail={"snapshot": snapshot.name, "seconds": seconds},
    )


@transaction.atomic
def pin(*, actor: Actor, snapshot: Snapshot, pinned: bool) -> Snapshot:
    """Exclude the snapshot from retention, or include it again."""
    Snapshot.objects.filter(pk=snapshot.pk).update(pinned=pinned, updated_at=clock.now())
    audit(
        actor=actor,
        action="snapshot.pin" if pinned else "snapshot.unpin",
        app=snapshot.addon.app,
        detail={"snapshot": snapshot.name},
    )
    snapshot.pinned = pinned
    return snapshot
