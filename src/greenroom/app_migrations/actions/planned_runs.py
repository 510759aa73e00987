"""Starts a migrate command once its snapshot is taken and no rehearsal copies the database."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from greenroom.addons.models import Snapshot
from greenroom.app_migrations.actions.rehearsals import is_copying
from greenroom.app_migrations.models import MigrationRun
from greenroom.basics import clock
from greenroom.basics.errors import GreenroomError, PlatformError
from greenroom.dynos.actions import planned_starts
from greenroom.engine.contract import Engine
from greenroom.logs.actions import say

SNAPSHOT_TIME = timedelta(minutes=60)
"""Maximum time to wait for the snapshot: a dump takes at most 30 minutes, and others may be before it."""
COPY_TIME = timedelta(minutes=5)
"""Maximum time to wait for a rehearsal's copy."""
START_TIME = timedelta(minutes=2)
"""Time after which a start that the engine could not carry out is given up."""
WITHOUT = "greenroom run --no-snapshot ..."


def advance(*, run: MigrationRun, engine: Engine, home: Path) -> None:
    """Start the planned dyno of the run, or give it up if its snapshot failed. Never blocks; repeatable."""
    snapshot = run.snapshot
    if snapshot is not None and snapshot.state in ("wanted", "running"):
        if clock.now() - run.created_at > SNAPSHOT_TIME:
            _give_up(run, "snapshot", _refused(snapshot, "it takes too long"), home)
        return
    if snapshot is not None and snapshot.state != "succeeded":
        _give_up(run, "snapshot", _refused(snapshot, snapshot.failure or "it was deleted"), home)
        return
    ready = (snapshot.finished_at if snapshot else None) or run.created_at
    if clock.now() - ready < COPY_TIME and is_copying(run.app):
        return
    try:
        planned_starts.begin(dyno=run.dyno, engine=engine, home=home)
    except GreenroomError as error:
        if not isinstance(error, PlatformError) or clock.now() - ready > COPY_TIME + START_TIME:
            _give_up(run, "start", f"{run.dyno.name} could not be started: {error}", home)
        else:
            raise


def _refused(snapshot: Snapshot, reason: str) -> str:
    return (
        f"The snapshot {snapshot.name} before the migration failed, so nothing was migrated: {reason}\n"
        f"hint: to migrate without one: {WITHOUT}"
    )


def _give_up(run: MigrationRun, reason: str, text: str, home: Path) -> None:
    planned_starts.give_up(dyno=run.dyno, reason=reason, text=text)
    say(app=run.app, home=home, process=run.dyno.name, text=text)
