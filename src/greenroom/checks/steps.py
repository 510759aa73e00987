"""Runs the built-in checks one step at a time: starts their dynos, polls them and records the results.

Rows are written before side effects, and dyno ids derive from the run, so each step is safe to repeat after a crash.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from django.db import DatabaseError, DataError
from django.db.models import F
from django.db.models.fields.json import KT

from greenroom.addons import actions as addons
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError, GreenroomError
from greenroom.basics.guard import Guard
from greenroom.basics.text import printable
from greenroom.checks import queries
from greenroom.checks.actions.check_runs import complete, forget_dyno, keep_dyno, move, note_unswept, write
from greenroom.checks.builtin import scan_report, scanning, testing
from greenroom.checks.builtin.dynos import dynos
from greenroom.checks.builtin.results import LIMIT, Outcome
from greenroom.checks.models import CheckRun
from greenroom.engine.contract import DynoSpec, DynoState, Engine, Mount
from greenroom.slugs.models import Slug

Say = Callable[[str], None]
guard = Guard(logging.getLogger(__name__))
MAX_STARTS = 2
"""Starts of a run's dyno before a lost dyno counts as an error."""

RETRY, GIVE_UP = timedelta(seconds=1), timedelta(seconds=60)
"""Retry interval and retry limit for a dyno that could not be started."""


def advance_tests(
    *,
    run: CheckRun,
    slug: Slug,
    mounts: tuple[Mount, ...],
    engine: Engine,
    home: Path,
    say: Say,
    deployed_sha: str = "",
) -> CheckRun:
    """One step of the check ``tests``: start its dyno, poll it, or record its result. Never blocks.

    mounts: the slug's mounts, as an overlay with the test requirements; the tests run on the slug to be deployed.
    deployed_sha: the deployed commit; a push must not remove all of its tests.
    """
    if run.status == "completed":
        return run
    state = engine.describe(testing.dyno_id(run))
    if state is None or _lost(run, state, engine):
        return _start(
            run,
            engine,
            lambda: testing.spec(run=run, slug=slug, mounts=mounts, home=home, capacity=engine.capacity()),
            say,
            slug=slug,
        )
    _announce(run, engine, say)
    if not state.ended:
        return run
    return _finish(run, say, lambda: testing.outcome(run=run, state=state, engine=engine, deployed_sha=deployed_sha))


def _announce(run: CheckRun, engine: Engine, say: Say) -> None:
    if run.data.get("announced"):
        return
    command = testing.announced(run=run, engine=engine)
    if command:
        say(f"-----> Running tests: {command}")
        write(run, data={**run.data, "announced": command})


def advance_scan(
    *,
    run: CheckRun,
    app: App,
    sha: str,
    deployed_sha: str,
    slug: Slug | None,
    mounts: tuple[Mount, ...] | None,
    engine: Engine,
    home: Path,
    say: Say,
) -> CheckRun:
    """One step of the check ``scan``. Never blocks. ruff and the optional scanners run in parallel to the build.

    deployed_sha: the deployed commit; empty for the first deployment, whose findings all count as known.
    slug, mounts: None until the build has ended; then the Django checks of a Django app start.
    """
    if run.status == "completed":
        return run
    if "wish" not in run.data:
        write(run, data={**run.data, "wish": scanning.wish_of(app=app, home=home, sha=sha, deployed_sha=deployed_sha)})
    common: dict[str, Any] = {"run": run, "deployed_sha": deployed_sha, "home": home}
    orders = _scan_orders(app, sha, slug, mounts or (), common)
    states: dict[str, DynoState] = {}
    for dyno, order in orders.items():
        state = engine.describe(dyno)
        if state is None or _lost(run, state, engine):
            return _start(run, engine, order, say, slug=slug if dyno == scanning.models_dyno_id(run) else None)
        states[dyno] = state
    if slug is None or any(not state.ended for state in states.values()):
        return run
    return _finish(run, say, lambda: _scanned(run, states, engine))


def _scan_orders(
    app: App, sha: str, slug: Slug | None, mounts: tuple[Mount, ...], common: dict[str, Any]
) -> dict[str, Callable[[], DynoSpec]]:
    """Engine id -> the spec of each dyno that the scan now needs."""
    run = common["run"]
    wish = run.data["wish"]
    orders: dict[str, Callable[[], DynoSpec]] = {
        scanning.dyno_id(run): lambda: scanning.spec(app=app, sha=sha, **common)
    }
    if wish["scanners"]:
        orders[scanning.scanners_dyno_id(run)] = lambda: scanning.scanners_spec(
            app=app, sha=sha, names=wish["scanners"], **common
        )
    if slug is not None and slug.is_django:
        orders[scanning.models_dyno_id(run)] = lambda: scanning.models_spec(
            slug=slug, mounts=mounts, strict=wish["migrations"] == "error", **common
        )
    return orders


def _scanned(run: CheckRun, states: dict[str, DynoState], engine: Engine) -> Outcome:
    names = (scanning.dyno_id(run), scanning.models_dyno_id(run), scanning.scanners_dyno_id(run))
    lint, models, more = (
        scanning.result_of(dyno=dyno, state=states[dyno], engine=engine) if dyno in states else None for dyno in names
    )
    assert lint is not None
    notes = run.data.get("wish", {}).get("weaker", [])
    return scan_report.combine(lint, models, more, ignores=queries.ignores(run.app), now=clock.now(), notes=notes)


def _lost(run: CheckRun, state: DynoState, engine: Engine) -> bool:
    """Whether the dyno was lost with its machine or killed from outside, and may be restarted. Forgets that dyno."""
    if not state.ended or int(run.data.get("starts", {}).get(state.id, 0)) >= MAX_STARTS:
        return False
    if state.phase != "lost" and not (
        _killed(state) and engine.result(state.id, "out/result.json", limit=LIMIT) is None
    ):
        return False
    engine.forget(state.id)
    return True


def _killed(state: DynoState) -> bool:
    """Whether a signal from outside the platform ended the dyno, such as one from the kernel's out-of-memory killer."""
    return state.phase == "exited" and state.reason in ("", "exit") and (state.exit_code or 0) > 128


def _start(
    run: CheckRun, engine: Engine, order: Callable[[], DynoSpec], say: Say, *, slug: Slug | None = None
) -> CheckRun:
    """Mark the run as in progress, then start its dyno. Platform errors are retried for a minute, then recorded."""
    trouble = run.data.get("trouble") or {}
    now = clock.now().timestamp()
    if trouble and now - trouble["last"] < RETRY.total_seconds():
        return run
    if not _begun(run):
        return run
    if slug is not None and run.slug is None:
        write(run, slug=slug)
    try:
        spec = order()
        engine.start(spec)
    except (GreenroomError, OSError, DatabaseError) as error:
        return _trouble(run, say, error, {"first": trouble.get("first", now), "last": now})
    starts = dict(run.data.get("starts", {}))
    starts[spec.id] = starts.get(spec.id, 0) + 1
    write(run, data={**run.data, "starts": starts, "trouble": None})
    _end_again(run, engine)
    return run


def _begun(run: CheckRun) -> bool:
    """Mark the run as in progress. False if it ended since it was read; the caller then starts nothing."""
    if run.status == "queued":
        try:
            move(run, status="in_progress", dyno=dynos(run)[0])
        except ConflictError:
            run.refresh_from_db()
    return run.status != "completed"


def _end_again(run: CheckRun, engine: Engine) -> None:
    """Kill dynos that were started while the run was being cancelled, and schedule its cleanup again."""
    if keep_dyno(run, dynos(run)[0]):
        for dyno in dynos(run):
            engine.signal(dyno, "KILL")
        run.refresh_from_db()


def _trouble(run: CheckRun, say: Say, error: Exception, times: dict[str, float]) -> CheckRun:
    write(run, data={**run.data, "trouble": {**times, "text": printable(str(error))[:500]}})
    if times["last"] - times["first"] < GIVE_UP.total_seconds():
        return run
    title = f"the dyno of `{run.name}` could not be started: {printable(str(error))[:150]}"
    return _finish(run, say, lambda: Outcome(conclusion="error", title=title, lines=(f" !     {title}",)))


def _finish(run: CheckRun, say: Say, read: Callable[[], Outcome]) -> CheckRun:
    """Complete the run with its dyno's result. An unreadable result is an error, never a success. Waits for the
    database during an outage.
    """
    try:
        return _record(run, say, read())
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, DataError) as error:
        run.refresh_from_db()
        title = f"the result of `{run.name}` cannot be read ({type(error).__name__})"
        return _record(run, say, Outcome(conclusion="error", title=title, lines=(f" !     {title}",)))


def _record(run: CheckRun, say: Say, outcome: Outcome) -> CheckRun:
    complete(run, outcome, say)
    return run


def sweep(*, engine: Engine, limit: int = 20) -> int:
    """Forget the dynos and drop the databases of ended built-in checks. Returns their number. Idempotent and slow.

    A failed cleanup is retried after the runs that have not failed yet.
    """
    ended = CheckRun.objects.filter(builtin=True, status="completed").exclude(dyno="").alias(failed=KT("data__unswept"))
    rows = ended.order_by(F("failed").asc(nulls_first=True), "finished_at")[:limit]
    return sum(_swept(run, engine) for run in rows)


def _swept(run: CheckRun, engine: Engine) -> bool:
    if guard.run(run.pk, f"cleanup of the check {run.name}, run {run.pk}", partial(_clean_up, run, engine)):
        return True
    note_unswept(run)
    return False


def _clean_up(run: CheckRun, engine: Engine) -> bool:
    for dyno in dynos(run):
        engine.forget(dyno)
    if run.name == "tests":
        addons.drop_doubles(label=testing.dyno_id(run))
    forget_dyno(run)
    return True


def sweep_forsaken() -> list[str]:
    """Drop the temporary add-ons of test runs whose app was destroyed before ``sweep``; returns their names.
    Idempotent.
    """
    runs = CheckRun.objects.filter(builtin=True, name="tests").exclude(dyno="")
    return addons.drop_other_doubles(labels=lambda: runs.values_list("dyno", flat=True))
