"""Creates, retains and removes snapshots of apps' databases.

The row is written before the file. The writer of a file holds a claim that ends with its process: a running row without
a claim is incomplete, and ``sweep`` marks it failed and removes the file.
"""

from __future__ import annotations

import contextlib
import logging
import os
import uuid
from functools import partial
from pathlib import Path

from django.db import transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.addons.actions.snapshots import next_number, remove, remove_file
from greenroom.addons.drivers import platform_server
from greenroom.addons.models import Addon, Restore, Snapshot
from greenroom.addons.postgres import rules
from greenroom.addons.postgres.drivers import dumps
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError, GreenroomError, UserError
from greenroom.basics.guard import Guard

guard = Guard(logging.getLogger(__name__))

FOLDER = "snapshots"
KIND = rules.SERVICE.kind


def capture(
    *,
    actor: Actor,
    addon: Addon,
    home: Path,
    kind: str,
    reason: str = "",
    pinned: bool = False,
    release_version: int | None = None,
) -> Snapshot:
    """Take a snapshot now, in this process; returns it finished.

    Call it outside of a transaction: other processes must see its row before the dump begins. Propagates the errors of
    ``dumps.dump``; the row is then failed, with the reason.
    """
    key = uuid.uuid4()
    with platform_server.claim(key):
        row = _record(actor, addon, kind, reason, pinned, release_version, key=key, state="running")
        _make(row, home)
    return row


def ask(
    *,
    actor: Actor,
    addon: Addon,
    reason: str = "",
    pinned: bool = False,
    release_version: int | None = None,
    kind: str = "manual",
) -> Snapshot:
    """Request a snapshot from the worker. ConflictError if another one of the database is waiting, except before a
    migration.
    """
    if kind != "before_migrate" and Snapshot.objects.filter(addon=addon, state="wanted").exists():
        raise ConflictError(
            f"A snapshot of {addon.name} is already requested.",
            hint=f"greenroom pg:snapshots -a {addon.app.name}",
        )
    return _record(actor, addon, kind, reason, pinned, release_version, key=uuid.uuid4(), state="wanted")


def make(*, snapshot: Snapshot, home: Path) -> Snapshot:
    """Take a requested snapshot; no effect if another process does. Propagates the errors of ``dumps.dump``; the row is
    then failed.
    """
    with platform_server.claim(snapshot.id) as mine:
        if mine and Snapshot.objects.filter(pk=snapshot.pk, state="wanted").update(state="running"):
            _make(snapshot, home)
    return snapshot


@transaction.atomic
def _record(
    actor: Actor, addon: Addon, kind: str, reason: str, pinned: bool, version: int | None, *, key: uuid.UUID, state: str
) -> Snapshot:
    if kind not in rules.KINDS:
        raise UserError(f"Unknown snapshot kind: {kind[:40]!r}.", hint=f"kinds are {', '.join(rules.KINDS)}")
    row = Snapshot.objects.create(
        id=key,
        addon=addon,
        number=next_number(addon.app),
        kind=kind,
        state=state,
        reason=reason[:300],
        pinned=pinned,
        by=actor.email,
        release_version=version,
        file=f"{FOLDER}/{addon.app_id.hex}/{key.hex}.dump",
    )
    audit(
        actor=actor,
        action="snapshot.create",
        app=addon.app,
        detail={"snapshot": row.name, "kind": kind, "addon": addon.name},
    )
    return row


def _make(row: Snapshot, home: Path) -> None:
    folder = home / FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        os.chmod(folder, 0o700)
        made = dumps.dump(database=row.addon.data["database"], target=home / row.file)
    except Exception as error:
        text = error.message if isinstance(error, GreenroomError) else f"{type(error).__name__}: {error}"
        _finish(row, state="failed", failure=text[:2000])
        raise
    facts, found = made.facts, made.contents
    _finish(
        row,
        state="succeeded",
        size=made.bytes,
        database_size=facts.bytes,
        database_oid=facts.oid,
        writes=facts.writes,
        seconds=round(made.seconds, 3),
        sha256=made.sha256,
        tables=found.tables,
        migration_state=[list(pair) for pair in found.migrations],
    )


def _finish(row: Snapshot, **facts: object) -> None:
    facts["finished_at"] = clock.now()
    for name, value in facts.items():
        setattr(row, name, value)
    Snapshot.objects.filter(pk=row.pk, state="running").update(updated_at=clock.now(), **facts)


def sweep(*, home: Path) -> None:
    """Mark incomplete snapshots failed, finish deletions, apply retention, and remove files without a row.
    Idempotent.
    """
    for row in Snapshot.objects.filter(state="running", addon__kind=KIND):
        with platform_server.claim(row.id) as mine:
            if mine and Snapshot.objects.filter(pk=row.pk, state="running").exists():
                with contextlib.suppress(OSError):  # the row must not stay open because of its file
                    remove_file(row, home)
                _finish(row, state="failed", failure="Greenroom was stopped while this snapshot was being taken.")
    for row in Snapshot.objects.filter(state="deleting", addon__kind=KIND):
        guard.run(row.pk, f"snapshot {row.name}", partial(remove, row, home))
    _retain(home)
    _forget_files(home)


def _retain(home: Path) -> None:
    used = set(Restore.objects.filter(finished_at=None).values_list("snapshot_id", flat=True))
    by_addon: dict[uuid.UUID, list[rules.Held]] = {}
    for row in Snapshot.objects.filter(addon__kind=KIND):
        held = rules.Held(str(row.id), row.kind, row.state, row.pinned, row.id in used, row.created_at)
        by_addon.setdefault(row.addon_id, []).append(held)
    for rows in by_addon.values():
        for key in rules.expired(rows, clock.now()):
            if Snapshot.objects.filter(pk=key, pinned=False).update(state="deleting"):
                remove(Snapshot.objects.get(pk=key), home)


def _forget_files(home: Path) -> None:
    """Remove files of deleted apps and add-ons. A row exists before its file, so a file without a row is orphaned."""
    for path in (home / FOLDER).glob("*/*.dump*"):
        key = path.name.partition(".")[0]
        try:
            known = Snapshot.objects.filter(pk=uuid.UUID(key)).exists()
        except ValueError:
            continue
        if not known:
            path.unlink(missing_ok=True)
    known_apps = {key.hex for key in App.objects.values_list("id", flat=True)}
    for folder in (home / FOLDER).glob("*"):
        if folder.name not in known_apps and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
