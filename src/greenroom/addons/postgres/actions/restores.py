"""Restores an app's database from a snapshot: load a copy, verify it, take a snapshot of the live one, swap the names.

Each state is written before its side effect, so that after a crash the next process can complete or undo it. The app
keeps working until the swap, which is one transaction. The replaced database is kept for a day.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import psycopg
from django.db import transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.addons.actions.snapshots import next_number
from greenroom.addons.drivers import platform_server
from greenroom.addons.models import Addon, Restore, RestoreStep, Snapshot
from greenroom.addons.postgres.actions import snapshots
from greenroom.addons.postgres.drivers import dumps, guests, roles, server
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError, GreenroomError, PlatformError
from greenroom.basics.guard import Guard

guard = Guard(logging.getLogger(__name__))

KEPT = timedelta(days=1)
ATTEMPTS = 3
COPIES = r"^d[0-9a-f]{12}_(restore_[0-9]+|old_[0-9]{14}_[0-9]+)$"


def restore(
    *, actor: Actor, addon: Addon, snapshot: Snapshot, home: Path, release_version: int | None = None
) -> Restore:
    """Restore the database in this process; returns the restore in state swapped.

    Writes after the snapshot are lost to the app; they remain in the saved snapshot and the kept database. On an error
    the row becomes failed and the error propagates.
    """
    row = ask(actor=actor, addon=addon, snapshot=snapshot, release_version=release_version)
    advance(restore=row, home=home)
    row.refresh_from_db()
    if row.state == "failed":
        raise PlatformError(row.failure)
    return row


@transaction.atomic
def ask(*, actor: Actor, addon: Addon, snapshot: Snapshot | None, release_version: int | None = None) -> Restore:
    """Request a restore from the worker; without a snapshot the database is emptied by the same procedure.

    The snapshot may be of another database, and only requested: the restore waits for it. ConflictError if it is
    incomplete or another restore is in progress.
    """
    number = next_number(addon.app)
    if snapshot and snapshot.state not in ("wanted", "succeeded"):
        raise ConflictError(f"{snapshot.name} cannot be restored: it is {snapshot.state}.")
    if Restore.objects.filter(addon=addon, finished_at=None).exists():
        raise ConflictError(
            f"{addon.name} is already being restored.", hint=f"greenroom pg:snapshots -a {addon.app.name}"
        )
    row = Restore.objects.create(
        addon=addon,
        snapshot=snapshot,
        kind="restore" if snapshot else "reset",
        number=number,
        by=actor.email,
        release_version=release_version,
        copy=f"{addon.data['database']}_restore_{number}",
    )
    RestoreStep.objects.create(restore=row, state="wanted")
    detail = {"snapshot": snapshot.name if snapshot else None, "restore": row.name, "addon": addon.name}
    audit(actor=actor, action=f"database.{row.kind}", app=addon.app, detail=detail)
    return row


def advance(*, restore: Restore, home: Path) -> None:
    """Advance a restore from its present state to swapped or failed. No effect if another process works on it."""
    with platform_server.claim(restore.id) as mine:
        if not mine:
            return
        row = Restore.objects.select_related("addon__app", "snapshot").get(pk=restore.pk)
        if row.state not in STEPS:
            return
        row.attempts += 1
        Restore.objects.filter(pk=row.pk).update(attempts=row.attempts)
        try:
            if row.attempts > ATTEMPTS and row.state != "swapping":
                raise PlatformError(f"This restore was interrupted {ATTEMPTS} times.", hint="greenroom status")
            while row.state in STEPS:
                STEPS[row.state](row, home)
        except Exception as error:
            _fail(row, error)


def _to(row: Restore, state: str, detail: str = "", **facts: object) -> None:
    with transaction.atomic():
        for name, value in {**facts, "state": state}.items():
            setattr(row, name, value)
        row.save(update_fields=[*facts, "state", "updated_at"])
        RestoreStep.objects.create(restore=row, state=state, detail=detail[:300])


def _load(row: Restore, home: Path) -> None:
    """wanted -> loaded. An existing copy is incomplete and is dropped first."""
    if row.kind == "reset":
        with server.connect() as connection:
            server.drop_database(connection, row.copy)
            server.make_database(connection, row.copy, row.addon.data["role"])
            roles.let_in(connection, row.copy, row.addon.data["role"])
        return _to(row, "loaded", "an empty database")
    snapshot = row.snapshot
    if snapshot is None:
        raise ConflictError("The snapshot was removed.")
    if snapshot.state == "failed":
        raise PlatformError(f"The snapshot {snapshot.name} failed: {snapshot.failure}")
    path = home / snapshot.file
    if not path.exists() or _sha256(path) != snapshot.sha256:
        raise PlatformError(
            f"The file of {snapshot.name} is missing or damaged.",
            hint="choose another snapshot, or restore the file from your backup",
        )
    dumps.preflight(size=snapshot.database_size, folder=path.parent)
    with server.connect() as connection:
        server.drop_database(connection, row.copy)
    seconds = dumps.load(source=path, database=row.copy, role=row.addon.data["role"])
    _to(row, "loaded", f"{snapshot.name} loaded in {seconds:.1f} s")


def _verify(row: Restore, home: Path) -> None:
    """loaded -> verified: the number of tables and the rows of django_migrations equal those of the snapshot."""
    found = dumps.contents(database=row.copy, role=row.addon.data["role"])
    wanted: tuple[int, list[list[str]]] = (0, [])
    if row.snapshot:
        wanted = (row.snapshot.tables, row.snapshot.migration_state)
    if (found.tables, [list(pair) for pair in found.migrations]) != wanted:
        raise PlatformError(
            f"The restored copy has {found.tables} tables and {len(found.migrations)} applied migrations; "
            f"the snapshot had {wanted[0]} and {len(wanted[1])}."
        )
    _to(row, "verified", f"{found.tables} tables, {len(found.migrations)} migrations")


def _save(row: Restore, home: Path) -> None:
    """verified -> saved: a snapshot of the database that will be replaced."""
    actor = Actor(account_id=None, email=row.by)
    saved = snapshots.capture(
        actor=actor,
        addon=row.addon,
        home=home,
        kind="before_restore",
        reason=f"before {row.name}",
        release_version=row.release_version,
    )
    _to(row, "saved", saved.name, saved=saved)


def _prepare(row: Restore, home: Path) -> None:
    """saved -> swapping: the future name of the replaced database is stored before the rename."""
    kept = f"{row.addon.data['database']}_old_{clock.now():%Y%m%d%H%M%S}_{row.number}"
    _to(row, "swapping", kept, kept=kept, kept_until=clock.now() + KEPT)


def _swap(row: Restore, home: Path) -> None:
    """swapping -> swapped. Idempotent: after a crash the swap may already have happened."""
    started = time.monotonic()
    server.exchange(current=row.addon.data["database"], new=row.copy, kept=row.kept)
    _to(row, "swapped", swap_seconds=round(time.monotonic() - started, 3))


STEPS: dict[str, Callable[[Restore, Path], None]] = {
    "wanted": _load,
    "loaded": _verify,
    "verified": _save,
    "saved": _prepare,
    "swapping": _swap,
}


def _fail(row: Restore, error: Exception) -> None:
    """Undo: drop the copy; the database is untouched. After a completed swap there is nothing to undo."""
    with server.connect() as connection:
        if row.kept and server.database_exists(connection, row.kept):
            return
        server.drop_database(connection, row.copy)
    text = error.message if isinstance(error, GreenroomError) else f"{type(error).__name__}: {error}"
    _to(row, "failed", text, failure=text[:2000], kept="", kept_until=None, finished_at=clock.now())


def conclude(*, restore: Restore) -> None:
    """swapped -> done: its app was notified."""
    _to(restore, "done", finished_at=clock.now())


def unfinished() -> list[Restore]:
    """Unfinished restores whose snapshot is finished, oldest first."""
    own = Restore.objects.filter(state__in=tuple(STEPS), addon__kind=snapshots.KIND)
    rows = own.exclude(snapshot__state__in=("wanted", "running"))
    return list(rows.select_related("addon__app").order_by("created_at"))


def swapped() -> list[Restore]:
    """Restores whose app was not notified yet."""
    return list(Restore.objects.filter(state="swapped", addon__kind=snapshots.KIND).select_related("addon__app"))


def sweep() -> None:
    """Drop replaced databases after a day, copies without an open restore, and expired guest roles. Idempotent."""
    own = Restore.objects.filter(addon__kind=snapshots.KIND).exclude(kept="")
    for row in own.filter(kept_until__lte=clock.now(), state__in=("swapped", "done")):
        guard.run(row.pk, f"the replaced database of {row.name}", partial(_drop_kept, row))
    with server.connect() as connection:
        guests.drop_expired(connection)
        for name in _forsaken(connection):
            server.drop_database(connection, name)


def _drop_kept(row: Restore) -> None:
    with server.connect() as connection:
        server.drop_database(connection, row.kept)
    Restore.objects.filter(pk=row.pk).update(kept="", kept_until=None)


def _forsaken(connection: psycopg.Connection) -> list[str]:
    """Copies and kept databases that no row references.

    The server is read first: a row exists before its database.
    """
    names = server.names_like(connection, COPIES)
    needed = set(Restore.objects.filter(state__in=tuple(STEPS)).values_list("copy", flat=True))
    needed |= set(Restore.objects.exclude(kept="").values_list("kept", flat=True))
    return [name for name in names if name not in needed]


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
