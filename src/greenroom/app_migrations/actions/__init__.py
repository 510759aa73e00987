"""Starts migration probes, stores their answers, and records each migrate command that a user ran. Runs no
migration.
"""

from __future__ import annotations

import logging
import time
import uuid
from pathlib import Path
from typing import Any

import psycopg
from django.db import transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.addons import queries as addons
from greenroom.addons import registry
from greenroom.addons.models import Snapshot
from greenroom.app_migrations import queries, rules
from greenroom.app_migrations.drivers.probes import answer, probe_spec_parts, without_database
from greenroom.app_migrations.drivers.script_dynos import errand
from greenroom.app_migrations.models import MigrationRun, MigrationState
from greenroom.apps.actions import lock_app
from greenroom.apps.models import App
from greenroom.apps.queries import hostnames
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError, GreenroomError
from greenroom.dynos import actions as dynos
from greenroom.dynos import queries as dyno_queries
from greenroom.dynos.models import Dyno
from greenroom.engine.contract import DynoState, Engine
from greenroom.releases.models import Release

log = logging.getLogger(__name__)
PROBE_SECONDS = 120.0
ENDING_SECONDS = 2.0
"""Maximum seconds between the last output that a user reads and the end of the dyno."""


@transaction.atomic
def watch(*, release: Release) -> MigrationState | None:
    """Request a probe of the pending migrations of a release; None if its code has no migrations. Idempotent.

    Copies the answer of the live release, without a probe, if migration files, lock and config vars are equal and the
    database lacks nothing.
    """
    framework = queries.framework(release)
    if release.slug is None or not framework:
        return None
    row, made = MigrationState.objects.get_or_create(
        release=release, defaults={"app_id": release.app_id, "framework": framework}
    )
    same = queries.settled_like(release) if made else None
    if same is not None:
        row.status, row.probed_at, row.detail, row.about = "ok", same.probed_at, same.detail, same.about
        row.save()
    return row


@transaction.atomic
def ask_again(*, release: Release) -> None:
    """Request a new probe after a command that may have changed the answer."""
    MigrationState.objects.filter(release=release).update(status="unknown", probe="", updated_at=clock.now())


@transaction.atomic
def ask_if_migrated(*, release: Release) -> None:
    """Request a new probe if a user has migrated in another release of the same code since the answer."""
    row = queries.of_release(release)
    if row is not None and row.probed_at is not None and queries.migrated_code_since(release, row.probed_at):
        ask_again(release=release)


def advance_probe(*, state: MigrationState, engine: Engine, home: Path) -> None:
    """Advance a pending probe by one step: start its dyno, or read the answer of an ended one. Never blocks."""
    if not state.probe:
        _start_probe(state, engine, home)
        return
    seen = engine.describe(state.probe)
    if seen is None:
        _start_probe(state, engine, home)
    elif seen.ended:
        _read(state, seen, engine)
        engine.forget(state.probe)


def _start_probe(state: MigrationState, engine: Engine, home: Path) -> None:
    """Store the dyno's name before its start, so that no dyno of that name is started twice."""
    if not state.probe:
        state.probes += 1
        state.probe = f"probe-{state.release_id.hex[:16]}-{state.probes}"
        MigrationState.objects.filter(pk=state.pk).update(probe=state.probe, probes=state.probes)
    slug = state.release.slug
    path = (slug.settings.get("health_path") if slug else "") or "/"
    first = () if dyno_queries.live(state.app) else ("first",)
    parts = probe_spec_parts(state.framework, (path, hostnames(state.app)[0], *first))
    order = errand(
        release=state.release,
        name=state.probe,
        kind="probe",
        ordinal=state.probes,
        parts=parts,
        home=home,
        capacity=engine.capacity(),
        seconds=PROBE_SECONDS,
    )
    try:
        engine.start(order)
    except GreenroomError as error:
        log.warning("probe of %s: %s", state.app.name, error)


@transaction.atomic
def _read(state: MigrationState, seen: DynoState, engine: Engine) -> None:
    found = without_database(answer(engine=engine, state=seen), attached="DATABASE_URL" in state.release.config.names)
    MigrationState.objects.filter(pk=state.pk, probe=state.probe).update(
        status=found.status,
        pending=list(found.pending),
        missing=list(found.missing),
        lacking=list(found.lacking),
        conflicts=found.conflicts or {},
        unmade=list(found.unmade),
        plan=list(found.plan),
        rows=found.rows,
        about=found.about,
        detail=found.detail,
        probed_at=clock.now(),
        updated_at=clock.now(),
    )


def refuse_clash(*, app: App, command: str, engine: Engine | None = None) -> None:
    """ConflictError if the command migrates while another migration runs or the database is being replaced.

    With an engine, it is queried for an end of the other migration that the rows do not show yet.
    """
    if not rules.is_migrate(command):
        return
    restore = addons.replacing(app)
    if restore is not None:
        raise ConflictError(
            f"The database of {app.name} is being {'restored' if restore.kind == 'restore' else 'reset'} now"
            f" ({restore.name}), started by {restore.by or 'a user'}: migrations applied meanwhile would be lost.",
            hint=f"wait for it: greenroom pg:snapshots -a {app.name}",
        )
    running = migrating(app=app, engine=engine)
    if running is not None:
        raise ConflictError(
            f"{running.dyno.name} is migrating {app.name} now, started by {running.account or 'a user'}.",
            hint=f"wait for it: greenroom logs --tail --dyno {running.dyno.name} -a {app.name}",
        )


def migrating(*, app: App, engine: Engine | None = None) -> MigrationRun | None:
    """The user's migrate command in progress, or None. With an engine, one that ends within ENDING_SECONDS counts as
    ended.
    """
    running = queries.open_runs().filter(app=app, exit_code=None).first()
    if running is None or not (running.dyno.state == "ended" or (engine and _has_ended(running.dyno, engine))):
        return running
    close_run(run=running)
    return None


def _has_ended(dyno: Dyno, engine: Engine) -> bool:
    """Whether the dyno ends within ENDING_SECONDS; if so, its row is updated."""
    deadline = time.monotonic() + ENDING_SECONDS
    while True:
        seen = engine.describe(dyno.engine_id)
        if seen is not None and seen.ended:
            dynos.end(dyno=dyno, seen=seen)
            dyno.refresh_from_db()
            return True
        if seen is None or time.monotonic() > deadline:
            return False
        time.sleep(0.1)


def secure(*, actor: Actor, release: Release, command: str, wanted: bool = True) -> Snapshot | None:
    """Request a pinned snapshot before a migrate command that may change the database; the worker takes it.

    None for any other command, without a Greenroom database, or if ``wanted`` is False.
    """
    addon = addons.database_of(release.app)
    snapshots = registry.kind(addon.kind).snapshots if addon else None
    state = queries.known_state(release)
    if addon is None or snapshots is None or not rules.may_change(command, state.pending if state else None):
        return None
    if not wanted:
        audit(actor=actor, action="migrations.no_snapshot", app=release.app, detail={"command": command[:500]})
        return None
    return snapshots.ask(
        actor=actor,
        addon=addon,
        kind="before_migrate",
        reason=command[:300],
        pinned=True,
        release_version=release.version,
    )


@transaction.atomic
def begin_run(
    *, actor: Actor, dyno: Dyno, snapshot: Snapshot | None = None, overruled: bool = False
) -> MigrationRun | None:
    """Record a one-off dyno that migrates, before its start; None for any other command.

    overruled: the user forced the command after a red rehearsal; recorded in the audit log. ConflictError if another
    migrate command has just begun.
    """
    if not rules.is_migrate(dyno.command):
        return None
    lock_app(dyno.app_id)
    refuse_clash(app=dyno.app, command=dyno.command)
    state = queries.of_release(dyno.release)
    before = state.pending if state else []
    run = MigrationRun.objects.create(
        app=dyno.app,
        release=dyno.release,
        dyno=dyno,
        account_id=actor.account_id,
        command=dyno.command,
        before=before,
        snapshot=snapshot,
        rehearsal=queries.rehearsal_of(dyno.release),
    )
    detail = {"dyno": dyno.name, "pending": before, "snapshot": snapshot.name if snapshot else None}
    if overruled and run.rehearsal:
        detail |= {"forced": True, "rehearsal": run.rehearsal.number}
    audit(actor=actor, action="migrations.run", app=dyno.app, detail=detail)
    return run


@transaction.atomic
def close_run(*, run: MigrationRun) -> None:
    """After the end of the dyno: store its exit code and request a new probe; close the run when the answer is
    there.
    """
    dyno = run.dyno
    if dyno.state != "ended":
        return
    if run.exit_code is None:
        run.exit_code = dyno.exit_code if dyno.exit_code is not None else 255
        MigrationRun.objects.filter(pk=run.pk).update(exit_code=run.exit_code)
        _settle(run)
        ask_again(release=run.release)
        return
    state = queries.of_release(run.release)
    if state is None or state.status != "unknown":
        after = state.pending if state and state.status == "ok" else None
        MigrationRun.objects.filter(pk=run.pk).update(after=after, finished_at=clock.now())


def _settle(run: MigrationRun) -> None:
    """Grant the app the tables that the run created, and read-only access to the migration table. Errors are retried at
    the next check.
    """
    addon = addons.database_of(run.app)
    try:
        if addon is not None:
            addons.schema_of(addon).settle(addon)
    except (GreenroomError, psycopg.Error) as error:
        log.warning("setting the privileges in the database of %s failed, will retry: %s", run.app.name, error)


def note_actual(*, run: uuid.UUID, migrations: list[dict[str, Any]]) -> None:
    """Store the measurements of a migrate command during its run. Partial measurements are kept."""
    MigrationRun.objects.filter(pk=run).update(actual={"migrations": migrations[:500]})


def note_health(*, run: MigrationRun, text: str) -> None:
    """Store the health of the live release after the migrate command."""
    MigrationRun.objects.filter(pk=run.pk, health="").update(health=text[:200])
