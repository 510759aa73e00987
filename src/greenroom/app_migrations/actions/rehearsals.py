"""Requests rehearsals and runs them. The row is written before the copy; an interrupted rehearsal restarts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from django.db import DatabaseError, transaction
from django.db.models import Max

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.addons import queries as addons
from greenroom.addons import registry
from greenroom.addons.drivers.platform_server import claim
from greenroom.app_migrations.drivers.rehearsal import COPYING, PREFIX, BusyError, Run, busy, prefix_of
from greenroom.app_migrations.models import Rehearsal
from greenroom.app_migrations.queries import of_release, rehearsal_of
from greenroom.app_migrations.queries.rehearsals import before, can_rehearse, mode, required
from greenroom.app_migrations.rules import is_migrate, not_rehearsed, rehearsal_text
from greenroom.app_migrations.rules import rehearsal as rules
from greenroom.app_migrations.rules.rehearsal_policy import OFF
from greenroom.apps.actions import lock_app
from greenroom.apps.actions.worker import wake
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError, GreenroomError
from greenroom.checks import actions as checks
from greenroom.checks.rules import REHEARSAL as CHECK
from greenroom.engine.contract import Engine
from greenroom.engine.errors import EngineAwayError
from greenroom.releases.models import Release

log = logging.getLogger(__name__)
ATTEMPTS = 3
AWAY = "waiting for the supervisor"
RED = "rehearsal_red"
"""Error id that a confirmation overrides: --force, or the app's name."""
KEPT = 50
"""Number of reports kept for each app."""


@transaction.atomic
def ask(*, actor: Actor, release: Release) -> Rehearsal:
    """Request a rehearsal, which the worker runs. Returns the existing one if it waits or runs for the same release.

    ConflictError if no migration is pending, the pending migrations are unknown, or the app has no Greenroom database.
    """
    app = lock_app(release.app_id)
    where = f"greenroom migrations -a {app.name}"
    if addons.database_of(app) is None:
        raise ConflictError(f"{app.name} has no database to copy.", hint=f"greenroom addons -a {app.name}")
    if not can_rehearse(release):
        raise ConflictError(not_rehearsed(), hint=where)
    state = of_release(release)
    if state is None or state.status != "ok":
        why = f": {state.detail}" if state and state.detail else ""
        raise ConflictError(f"The pending migrations of v{release.version} are unknown{why}.", hint=where)
    if not state.pending:
        raise ConflictError(f"v{release.version} of {app.name} has no pending migrations.", hint=where)
    waiting = Rehearsal.objects.filter(release=release, state__in=("wanted", "running"), pending=state.pending).first()
    if waiting is not None:
        return waiting
    Rehearsal.objects.filter(app=app, state="wanted").update(
        state="failed", failure="replaced by a newer release", finished_at=clock.now(), updated_at=clock.now()
    )
    number = (Rehearsal.objects.filter(app=app).aggregate(top=Max("number"))["top"] or 0) + 1
    row = Rehearsal.objects.create(
        app=app,
        release=release,
        previous=before(release),
        number=number,
        by=actor.email,
        pending=state.pending,
    )
    audit(
        actor=actor,
        action="migrations.rehearse",
        app=app,
        detail={"release": release.version, "pending": state.pending},
    )
    wake()
    return row


def offer(*, actor: Actor, release: Release) -> Rehearsal | None:
    """Request a rehearsal for a delivery with pending migrations, once for each plan; None if the app has disabled
    it.
    """
    if mode(release) == OFF or before(release) is None:
        return None
    state = of_release(release)
    if state is None or Rehearsal.objects.filter(release=release, pending=state.pending).exists():
        return None
    try:
        return ask(actor=actor, release=release)
    except ConflictError:  # no pending migrations, or no database
        return None


def advance(*, rehearsal: Rehearsal, engine: Engine, home: Path) -> bool:
    """Run a rehearsal until it is done or failed.

    False, without any effect, if another process runs one of the app or if this one is over.
    """
    with claim(rehearsal.app_id) as quiet, claim(rehearsal.pk) as mine:
        if not (quiet and mine):
            return False
        row = Rehearsal.objects.select_related(
            "app", "release__slug", "release__config", "previous__slug", "previous__config"
        ).get(pk=rehearsal.pk)
        if row.state not in ("wanted", "running"):
            return False
        _carry_out(row, engine, home)
        return True


def _carry_out(row: Rehearsal, engine: Engine, home: Path) -> None:
    addon = addons.database_of(row.app)
    if addon is None or row.attempts >= ATTEMPTS:
        return _end(
            row, failure="The database no longer exists." if addon is None else f"It was interrupted {ATTEMPTS} times."
        )
    schema = addons.schema_of(addon)
    row.attempts, row.clone, row.state = row.attempts + 1, schema.copies.name_for(addon, row.number), "running"
    row.save(update_fields=["attempts", "clone", "state", "updated_at"])
    run, began = Run(row, addon, engine, home, partial(_note, row)), clock.now()
    outcome: dict[str, Any] = {}
    waits = "waiting for a migration or a restore of the database"
    try:
        run.clean()
        outcome = _learnt(run.whole())
    except BusyError:
        pass
    except EngineAwayError:
        waits = AWAY
    except (psycopg.Error, DatabaseError):
        raise  # server unavailable or restarted: an interruption like a kill; the rehearsal restarts
    except Exception as error:
        if schema.restarted_since(began):
            raise
        log.warning(
            "rehearsal %s of %s: %s", row.number, row.app.name, error, exc_info=not isinstance(error, GreenroomError)
        )
        outcome["failure"] = error.message if isinstance(error, GreenroomError) else f"{type(error).__name__}: {error}"
    finally:
        try:
            run.clean()
        except EngineAwayError:
            outcome, waits = {}, AWAY
    if outcome:
        return _end(row, **outcome)  # its copy and dynos are removed before its row says that it is over
    Rehearsal.objects.filter(pk=row.pk).update(
        state="wanted", step=waits, attempts=row.attempts - 1, updated_at=clock.now()
    )


def _note(row: Rehearsal, step: str) -> None:
    Rehearsal.objects.filter(pk=row.pk).update(step=step[:80], updated_at=clock.now())


def _learnt(report: dict[str, Any]) -> dict[str, Any]:
    """The columns of a completed rehearsal."""
    measured = _measured(report)
    colour = "red" if report["status"] == "failed" else rules.colour(measured, report["cells"])
    return {"colour": colour, "seconds": round(sum(one.seconds for one in measured), 3), "document": report}


def _end(row: Rehearsal, **facts: object) -> None:
    state = "failed" if facts.get("failure") else "done"
    Rehearsal.objects.filter(pk=row.pk).update(
        state=state, step="", finished_at=clock.now(), updated_at=clock.now(), **facts
    )
    _show(Rehearsal.objects.select_related("app", "release__slug").get(pk=row.pk))
    old = Rehearsal.objects.filter(app_id=row.app_id).order_by("-number").values_list("pk", flat=True)[KEPT:]
    Rehearsal.objects.filter(pk__in=list(old)).delete()


def _show(row: Rehearsal) -> None:
    """Report the result as a check run of the commit. Skipped for an empty database.

    Neutral, because a user decides. If the check is required: failure for red, else success. A name that another system
    owns is only logged.
    """
    if row.state != "done" or row.release.slug is None or row.document.get("tables") == 0:
        return
    conclusion = ("failure" if row.colour == "red" else "success") if required(row.release) else "neutral"
    try:
        checks.report(
            app=row.app,
            sha=row.release.slug.commit,
            name=CHECK,
            status="completed",
            conclusion=conclusion,
            title=f"{row.colour}: {summary(row)}",
            summary=table(row),
            anew=True,
        )
    except GreenroomError as error:
        log.warning("rehearsal %s of %s is not shown as a check: %s", row.number, row.app.name, error.message)


def due() -> list[Rehearsal]:
    """Rehearsals to run, next first: the oldest of each app whose database is not being migrated or replaced."""
    first: dict[Any, Rehearsal] = {}
    for row in unfinished():
        if row.app_id not in first or (row.state == "running" and first[row.app_id].state != "running"):
            first[row.app_id] = row
    return [row for row in first.values() if row.state == "running" or not busy(row.app)]


def is_copying(app: App) -> bool:
    """Whether a rehearsal copies the app's database now: a dump locks each table, and a migration would time out.

    False for an interrupted copy. Call it after writing the row of the migrate command.
    """
    row = Rehearsal.objects.filter(app=app, state="running", step=COPYING).first()
    if row is None:
        return False
    with claim(row.pk) as nobody_does_it:
        return not nobody_does_it


def unfinished() -> list[Rehearsal]:
    """Unfinished rehearsals, oldest first."""
    return list(Rehearsal.objects.filter(state__in=("wanted", "running")).select_related("app").order_by("created_at"))


def sweep(*, engine: Engine) -> int:
    """Drop copies and dynos that killed processes left behind for ended rehearsals; returns their number. Idempotent.

    Copies and dynos are listed before the rows are read. A row exists before its copy and dynos, so a rehearsal that
    starts meanwhile is safe.
    """
    makers = [kind.schema.copies for kind in registry.kinds() if kind.schema]
    copies = [(maker, maker.present()) for maker in makers]
    seen = [state.id for state in engine.list() if state.id.startswith(PREFIX)]
    open_rows = unfinished()
    needed = {row.clone for row in open_rows}
    left = [(maker, name) for maker, found in copies for name in sorted(found - needed)]
    for maker, name in left:
        maker.drop(name=name)
    prefixes = tuple(prefix_of(row) for row in open_rows)
    dynos = [name for name in seen if not name.startswith(prefixes)]
    for name in dynos:
        engine.forget(name)
    return len(left) + len(dynos)


def refuse_red(*, app: App, release: Release, command: str, forced: bool) -> bool:
    """ConflictError if the command migrates, its rehearsal was red and it is not forced. True if a red one is
    overridden.
    """
    found = rehearsal_of(release) if is_migrate(command) else None
    if found is None or found.colour != "red":
        return False
    if forced:
        return True
    raise ConflictError(
        f"The rehearsal of these migrations was red: {summary(found)}",
        id=RED,
        hint=(
            f"greenroom run --force -a {app.name} -- {command}   (Heroku CLI: heroku run -e GREENROOM_FORCE={app.name}"
            f" -a {app.name} -- {command})"
        ),
    )


def summary(row: Rehearsal) -> str:
    """The report as one paragraph."""
    if row.state != "done":
        return row.failure or row.step or "waiting in the queue"
    if row.document.get("tables") == 0:
        return "The database is empty: nothing can be blocked or lost."
    measured, failed = (
        _measured(row.document),
        row.document.get("detail") if row.document.get("status") == "failed" else "",
    )
    if failed and not measured:
        return f"The rehearsal could not run: {failed}"
    said = rehearsal_text.paragraph(measured, row.document.get("cells") or {})
    return f"{said} {failed}" if failed and failed not in said else said


def table(row: Rehearsal) -> str:
    """The full report, for a terminal."""
    return rehearsal_text.table(
        _measured(row.document), row.document.get("reverse") or {}, row.document.get("cells") or {}
    )


def _measured(document: Mapping[str, Any]) -> list[rules.Measured]:
    return [rules.measured(one) for one in document.get("migrations") or ()]
