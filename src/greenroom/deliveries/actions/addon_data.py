"""Saves, replaces and copies the data of add-ons. The worker takes the snapshots and restores them."""

from __future__ import annotations

import time

from django.db import transaction

from greenroom.accounts.rules import Actor
from greenroom.addons import queries as addons
from greenroom.addons.models import Addon, Restore, Snapshot
from greenroom.app_migrations import actions as migrations
from greenroom.app_migrations.models import MigrationRun
from greenroom.apps.actions import lock_apps
from greenroom.apps.actions.worker import wake
from greenroom.apps.models import App
from greenroom.basics.errors import ConflictError
from greenroom.dynos.queries import live_version
from greenroom.engine.contract import Engine


def save(*, actor: Actor, addon: Addon, reason: str, pinned: bool = False) -> Snapshot:
    """Request a snapshot from the worker. ConflictError if another request of the add-on is waiting, or if its kind has
    no snapshots.
    """
    row = addons.snapshots_for(addon).ask(
        actor=actor, addon=addon, reason=reason, pinned=pinned, release_version=live_version(addon.app)
    )
    wake()
    return row


def restore(*, actor: Actor, addon: Addon, snapshot: Snapshot, engine: Engine) -> Restore:
    """Request a restore from the worker. The snapshot may be of another add-on.

    ConflictError if a user migrates, if another restore is in progress, or if the snapshot is incomplete.
    """
    return _replace(actor, addon, snapshot, engine)


def reset(*, actor: Actor, addon: Addon, engine: Engine, seconds: float) -> Restore:
    """Request from the worker that the add-on is emptied, and wait for the end, at most that many seconds.

    ConflictError if a user migrates or another restore is in progress.
    """
    row = _replace(actor, addon, None, engine)
    deadline = time.monotonic() + seconds
    while row.finished_at is None and time.monotonic() < deadline:
        time.sleep(0.1)
        row.refresh_from_db()
    return row


def copy(*, actor: Actor, source: Addon, target: Addon, engine: Engine) -> Restore:
    """Request from the worker a snapshot of the source and a restore of it into the target.

    ConflictError if source and target are the same, if another snapshot of the source is requested, and as ``restore``.
    """
    if source == target:
        raise ConflictError(f"{target.name} cannot be copied onto itself.")
    _refuse_while_migrating(target.app, engine)
    with transaction.atomic():
        lock_apps([source.app_id, target.app_id])
        snapshot = addons.snapshots_for(source).ask(
            actor=actor,
            addon=source,
            reason=f"pg:copy to {target.app.name}",
            release_version=live_version(source.app),
        )
        row = _ask_to_replace(actor, target, snapshot)
    wake()
    return row


def _replace(actor: Actor, addon: Addon, snapshot: Snapshot | None, engine: Engine) -> Restore:
    """Request a restore, or without a snapshot a reset."""
    _refuse_while_migrating(addon.app, engine)
    with transaction.atomic():
        lock_apps([addon.app_id])
        row = _ask_to_replace(actor, addon, snapshot)
    wake()
    return row


def _ask_to_replace(actor: Actor, addon: Addon, snapshot: Snapshot | None) -> Restore:
    """Write the request, in the caller's transaction with the lock of the app.

    A migrate command checks for restores under the lock of its app, and this function checks for migrate commands under
    the same lock: one of the two sees the other.
    """
    _refuse(addon.app, migrations.migrating(app=addon.app))
    return addons.restores_for(addon).ask(
        actor=actor, addon=addon, snapshot=snapshot, release_version=live_version(addon.app)
    )


def _refuse_while_migrating(app: App, engine: Engine) -> None:
    """ConflictError while a user's migrate command runs: it would continue in the data that is being replaced.

    The engine is queried for an end that the rows do not show yet, although the user may have seen it. This may take a
    moment: call it outside of transactions. A command that starts right after is detected by ``_replace``.
    """
    _refuse(app, migrations.migrating(app=app, engine=engine))


def _refuse(app: App, run: MigrationRun | None) -> None:
    if run:
        raise ConflictError(
            f"Migrations of {app.name} are running ({run.dyno.name}).",
            hint=f"wait for them, or: greenroom ps:stop {run.dyno.name} -a {app.name}",
        )
