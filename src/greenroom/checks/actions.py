"""Writes check runs, verdicts and overrides, and drives the builtin checks one step at a time.

Rows are written before side effects and dynos have ids that follow from the run, so each step may be repeated after a crash.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db import DatabaseError, transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.addons.postgres import actions as postgres
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError, GreenroomError, NotFoundError, UserError
from greenroom.checks import queries, rules
from greenroom.checks.builtin import scanning, testing
from greenroom.checks.builtin.results import Outcome, printable
from greenroom.checks.models import Annotation, CheckRun, Override, Verdict
from greenroom.engine.contract import DynoSpec, DynoState, Engine, Mount
from greenroom.slugs.models import Slug

Say = Callable[[str], None]
SHA = re.compile(r"[0-9a-f]{40}\Z")
MAX_ATTEMPTS = 1000
MAX_ANNOTATIONS = 1000
MAX_STARTS = 2
"""How often the dyno of a run is started before its loss is an error."""

RETRY, GIVE_UP = timedelta(seconds=1), timedelta(seconds=60)
"""How soon a dyno that could not be started is tried again, and for how long."""


@transaction.atomic
def begin(*, app: App, sha: str, names: Iterable[str]) -> list[CheckRun]:
    """A queued first attempt of each named check that has none yet; the newest attempt of each. Repeatable."""
    _lock(app)
    return [queries.latest_of(app, sha, name) or _attempt(app, sha, name, 1) for name in names]


def _lock(app: App) -> None:
    """Attempts of one app's checks are numbered one after the other."""
    App.objects.select_for_update().get(pk=app.pk)


def _attempt(app: App, sha: str, name: str, number: int) -> CheckRun:
    if number > MAX_ATTEMPTS:
        raise UserError(f"Check {name} of {sha[:8]} has been attempted {MAX_ATTEMPTS} times.", hint="push a new commit")
    builtin = name in rules.BUILTIN
    return CheckRun.objects.create(app=app, sha=sha, name=name, attempt=number, builtin=builtin)


@transaction.atomic
def report(
    *, app: App, sha: str, name: str, status: str, conclusion: str = "", title: str = "", summary: str = "", url: str = "",
    annotations: Sequence[Mapping[str, Any]] = (), actor: Actor | None = None,
) -> CheckRun:  # fmt: skip
    """What another system says of a check. Repeating a report changes nothing; one after the end is a new attempt.

    annotations: maps with path, line, message, and if known column, rule, severity (1-4), tool; they are added to those of the attempt.
    UserError for a bad sha or name, for a builtin check, for an unknown status or conclusion, and for ``stale``.
    """
    name = printable(name).strip()[:100]
    _refuse(sha, name, status, conclusion)
    _lock(app)
    run = queries.latest_of(app, sha, name)
    words = {"title": printable(title)[:255], "summary": printable(summary)[:65_535], "url": printable(url)[:2000]}
    if run and run.status == "completed":
        same = (run.status, run.conclusion, *words.values()) == (status, conclusion, run.title, run.summary, run.url)
        if same and (run.title, run.summary, run.url) == tuple(words.values()):
            return run
        run = _attempt(app, sha, run.name, run.attempt + 1)
    run = run or _attempt(app, sha, name, 1)
    _move_as_reported(run, status, conclusion, words)
    _annotate(run, [{"tool": name[:40], **item} for item in annotations])
    if actor:
        detail = {"check": run.name, "sha": sha, "attempt": run.attempt, "status": status, "conclusion": conclusion}
        audit(actor=actor, action="check.report", app=app, detail=detail)
    return run


def _refuse(sha: str, name: str, status: str, conclusion: str) -> None:
    if not SHA.match(sha):
        raise UserError(f"{sha[:50]!r} is not a commit's SHA: 40 hexadecimal digits are needed.")
    if not name:
        raise UserError("A check needs a name.", hint="for example ci/build")
    if rules.key(name) in rules.BUILTIN:
        raise UserError(f"Check {name} is run by Greenroom itself and cannot be reported.", hint="choose another name")
    if conclusion == "stale":
        raise UserError("Only Greenroom itself ends a check as stale.", hint="use cancelled, skipped or timed_out")
    problem = rules.move_problem(status="in_progress", to_status=status, to_conclusion=conclusion)
    if problem and status != "queued":
        raise UserError(f"Check {name}: {problem}.")


def _move_as_reported(run: CheckRun, status: str, conclusion: str, words: dict[str, str]) -> None:
    """From queued to the end goes by way of in_progress: who reports a result has begun."""
    if status == "completed" and run.status == "queued" and conclusion not in rules.UNSTARTED_ENDS:
        _move(run, status="in_progress")
    if status == run.status or (status == "queued" and run.status == "in_progress"):
        _write(run, **words)
    else:
        _move(run, status=status, conclusion=conclusion, **words)


def _move(run: CheckRun, *, status: str, conclusion: str = "", **changes: Any) -> None:
    """One legal move of the run. ConflictError for any other."""
    problem = rules.move_problem(status=run.status, to_status=status, to_conclusion=conclusion)
    if problem:
        raise ConflictError(f"Check {run.name} of {run.sha[:8]}, attempt {run.attempt}: {problem}.")
    now = clock.now()
    if status == "in_progress":
        changes["started_at"] = now
    if status == "completed":
        changes["finished_at"] = now
    _write(run, status=status, conclusion=conclusion, **changes)


def _write(run: CheckRun, **changes: Any) -> None:
    for key, value in changes.items():
        setattr(run, key, value)
    run.save(update_fields=[*changes, "updated_at"])


def _annotate(run: CheckRun, items: Sequence[Mapping[str, Any]]) -> None:
    room = MAX_ANNOTATIONS - Annotation.objects.filter(check_run=run).count() if items else 0
    Annotation.objects.bulk_create([_annotation(run, item) for item in items[: max(0, room)]])


def _annotation(run: CheckRun, item: Mapping[str, Any]) -> Annotation:
    return Annotation(
        check_run=run,
        path=printable(str(item["path"]))[:4000],
        line=min(max(int(item.get("line") or 1), 0), 2_000_000_000),
        column=min(max(int(item.get("column") or 0), 0), 2_000_000_000),
        tool=printable(str(item.get("tool") or ""))[:40],
        rule=printable(str(item.get("rule") or ""))[:80],
        severity=min(max(int(item.get("severity") or 2), 1), 4),
        message=printable(str(item.get("message") or ""))[:65_535],
        fingerprint=str(item.get("fingerprint") or "")[:64],
        new=item.get("state", "new") == "new",
    )


@transaction.atomic
def rerun(*, app: App, sha: str, actor: Actor, name: str | None = None) -> list[CheckRun]:
    """Another attempt of the named check, or of all that ended without success. Those that run already are left alone.

    NotFoundError if the commit has no such check; ConflictError if the named one has not ended, or there is none to repeat.
    """
    _lock(app)
    runs = queries.latest(app, sha)
    if name is not None:
        runs = [run for run in runs if rules.key(run.name) == rules.key(name)]
        if not runs:
            raise NotFoundError(
                f"Commit {sha[:8]} has no check {name[:100]!r}.",
                hint=f"greenroom checks -a {app.name}",
                resource="check",
            )
        if runs[0].status != "completed":
            raise ConflictError(f"Check {runs[0].name} of {sha[:8]} has not ended yet.", hint="wait for it")
    ended = [run for run in runs if run.status == "completed" and (name is not None or run.conclusion != "success")]
    if not ended:
        raise ConflictError(f"No check of {sha[:8]} has failed: there is nothing to run again.")
    fresh = [_attempt(app, sha, run.name, run.attempt + 1) for run in ended]
    detail = {"sha": sha, "checks": {run.name: run.attempt for run in fresh}}
    audit(actor=actor, action="check.rerun", app=app, detail=detail)
    return fresh


@transaction.atomic
def override(
    *, app: App, sha: str, checks: Sequence[str], reason: str, actor: Actor, required: Sequence[str] | None = None
) -> Override:
    """Let one commit through in spite of the named checks, until one of its checks is attempted anew.

    UserError for a reason under 10 characters, or a check that is neither required nor reported. May the actor do this: the caller's question.
    """
    _lock(app)
    names = list(app.required_checks if required is None else required)
    runs = queries.latest(app, sha)
    known = list({rules.key(name): name for name in [*names, *(run.name for run in runs)]}.values())
    problem = rules.override_problem(checks=checks, known=known, reason=reason)
    if not SHA.match(sha):
        problem = "an override is for one commit, named by all 40 digits of its SHA"
    if problem:
        raise UserError(
            f"The override is refused: {problem}.",
            hint=f'greenroom deploy:override SHA --check NAME --reason "..." -a {app.name}',
        )
    seen = {name: 0 for name in known} | {run.name: run.attempt for run in runs}
    row = Override.objects.create(
        app=app, sha=sha, checks=list(checks), attempts=seen, reason=printable(reason).strip(),
        account_id=actor.account_id, actor=actor.email,
    )  # fmt: skip
    last = queries.newest_verdict(app, sha)
    shown = {"colour": last.colour, "reasons": last.reasons} if last else {}
    detail = {"sha": sha, "checks": list(checks), "reason": row.reason, "verdict": shown}
    audit(actor=actor, action="deploy.override", app=app, detail=detail)
    return row


def judge(*, app: App, sha: str, required: Iterable[str]) -> Verdict:
    """The gate's answer now. A row is written only when colour or reasons differ from the last one of the commit."""
    expire(app=app, sha=sha)
    facts = queries.facts(app, sha, required)
    decision = rules.verdict(facts)
    last = queries.newest_verdict(app, sha)
    if last and (last.colour, last.reasons) == (decision.colour, list(decision.reasons)):
        return last
    inputs = {
        "required": list(facts.required),
        "runs": {run.name: [run.attempt, run.status, run.conclusion] for run in facts.runs},
        "overridden": list(decision.overridden),
    }
    return Verdict.objects.create(
        app=app, sha=sha, colour=decision.colour, reasons=list(decision.reasons), inputs=inputs
    )


@transaction.atomic
def expire(*, app: App, sha: str) -> None:
    """End runs that have been silent for two hours as stale."""
    now = clock.now()
    limit = now - rules.STALE_AFTER
    silent = CheckRun.objects.select_for_update().filter(app=app, sha=sha, updated_at__lt=limit)
    for run in silent.exclude(status="completed"):
        title = f"nothing was reported for {rules.STALE_AFTER.seconds // 3600} hours"
        _move(run, status="completed", conclusion="stale", title=title)


@transaction.atomic
def cancel(*, app: App, sha: str, engine: Engine, why: str) -> list[CheckRun]:
    """End the builtin checks of a commit that nobody waits for any more (``superseded by SHA``), and kill their dynos."""
    rows = CheckRun.objects.select_for_update().filter(app=app, sha=sha, builtin=True).exclude(status="completed")
    ended = list(rows)
    for run in ended:
        _move(run, status="completed", conclusion="cancelled", title=printable(why)[:255])
        for dyno in _dynos(run):
            engine.signal(dyno, "KILL")
    return ended


def _dynos(run: CheckRun) -> tuple[str, ...]:
    if run.name == "tests":
        return (testing.dyno_id(run),)
    return (scanning.dyno_id(run), scanning.models_dyno_id(run))


def advance_tests(
    *, run: CheckRun, slug: Slug, mounts: tuple[Mount, ...], engine: Engine, home: Path, say: Say
) -> CheckRun:
    """One step of the check ``tests``: start its dyno, look at it, or record how it ended. Never waits.

    mounts: the slug's, as an overlay with the test requirements; the tests run on what will be deployed.
    """
    if run.status == "completed":
        return run
    state = engine.describe(testing.dyno_id(run))
    if state is None or _lost(run, state, engine):
        return _start(run, engine, lambda: testing.spec(run=run, slug=slug, mounts=mounts, home=home), say, slug=slug)
    if state.phase in ("starting", "running"):
        _announce(run, home, say)
        return run
    _announce(run, home, say)
    return _finish(run, say, lambda: testing.outcome(run=run, state=state, home=home))


def _announce(run: CheckRun, home: Path, say: Say) -> None:
    if run.data.get("announced"):
        return
    command = testing.announced(run=run, home=home)
    if command:
        say(f"-----> Running tests: {command}")
        _write(run, data={**run.data, "announced": command})


def advance_scan(
    *, run: CheckRun, app: App, sha: str, deployed_sha: str, slug: Slug | None, mounts: tuple[Mount, ...] | None,
    engine: Engine, home: Path, say: Say,
) -> CheckRun:  # fmt: skip
    """One step of the check ``scan``. Never waits. ruff starts at once, beside the build; the rest once there is a slug.

    deployed_sha: what runs now; empty for the first deployment, whose findings all count as known.
    slug, mounts: None until the build has ended; then the look for models without migrations starts, in an app of Django's.
    """
    if run.status == "completed":
        return run
    lint = engine.describe(scanning.dyno_id(run))
    if lint is None or _lost(run, lint, engine):
        order = lambda: scanning.spec(run=run, app=app, sha=sha, deployed_sha=deployed_sha, home=home)  # noqa: E731
        return _start(run, engine, order, say)
    if slug is None:
        return run
    models = None
    if slug.is_django:
        models = engine.describe(scanning.models_dyno_id(run))
        if models is None or _lost(run, models, engine):
            built = slug
            order = lambda: scanning.models_spec(run=run, slug=built, mounts=mounts or (), home=home)  # noqa: E731
            return _start(run, engine, order, say, slug=slug)
    if any(state and state.phase in ("starting", "running") for state in (lint, models)):
        return run
    return _finish(run, say, lambda: _scanned(run, lint, models, home))


def _scanned(run: CheckRun, lint: DynoState, models: DynoState | None, home: Path) -> Outcome:
    result = scanning.result_of(dyno=scanning.dyno_id(run), state=lint, home=home)
    second = scanning.result_of(dyno=scanning.models_dyno_id(run), state=models, home=home) if models else None
    return scanning.combine(result, second)


def _lost(run: CheckRun, state: DynoState, engine: Engine) -> bool:
    """Whether the dyno died with its machine and may be started once more; it has then been forgotten."""
    if state.phase != "lost" or int(run.data.get("starts", {}).get(state.id, 0)) >= MAX_STARTS:
        return False
    engine.forget(state.id)
    return True


def _start(
    run: CheckRun, engine: Engine, order: Callable[[], DynoSpec], say: Say, *, slug: Slug | None = None
) -> CheckRun:
    """Mark the run as begun, then start its dyno. Trouble of the platform's is tried again for a minute, then an error."""
    trouble = run.data.get("trouble") or {}
    now = clock.now().timestamp()
    if trouble and now - trouble["last"] < RETRY.total_seconds():
        return run
    if run.status == "queued":
        _move(run, status="in_progress", dyno=_dynos(run)[0])
    if slug is not None and run.slug is None:
        _write(run, slug=slug)
    try:
        spec = order()
        engine.start(spec)
    except (GreenroomError, OSError, DatabaseError) as error:
        return _trouble(run, say, error, {"first": trouble.get("first", now), "last": now})
    starts = dict(run.data.get("starts", {}))
    starts[spec.id] = starts.get(spec.id, 0) + 1
    _write(run, data={**run.data, "starts": starts, "trouble": None})
    return run


def _trouble(run: CheckRun, say: Say, error: Exception, times: dict[str, float]) -> CheckRun:
    _write(run, data={**run.data, "trouble": {**times, "text": printable(str(error))[:500]}})
    if times["last"] - times["first"] < GIVE_UP.total_seconds():
        return run
    title = f"the dyno of `{run.name}` could not be started: {printable(str(error))[:150]}"
    return _finish(run, say, lambda: Outcome(conclusion="error", title=title, lines=(f" !     {title}",)))


def _finish(run: CheckRun, say: Say, read: Callable[[], Outcome]) -> CheckRun:
    """Complete the run with what its dyno left; what cannot be read or stored is an error, never a success."""
    try:
        return _record(run, say, read())
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, DatabaseError) as error:
        run.refresh_from_db()
        title = f"the result of `{run.name}` cannot be read ({type(error).__name__})"
        return _record(run, say, Outcome(conclusion="error", title=title, lines=(f" !     {title}",)))


@transaction.atomic
def _record(run: CheckRun, say: Say, outcome: Outcome) -> CheckRun:
    row = CheckRun.objects.select_for_update().get(pk=run.pk)
    if row.status != "completed":
        data = {**row.data, **outcome.data, "brief": outcome.brief or outcome.title, "notes": list(outcome.notes)}
        words = {"title": outcome.title[:255], "summary": outcome.summary[:65_535], "data": data}
        _move(row, status="completed", conclusion=outcome.conclusion, **words)
        _annotate(row, outcome.findings)
        if outcome.lines:
            say("\n".join(outcome.lines))
    for field in ("status", "conclusion", "title", "summary", "data", "finished_at", "updated_at"):
        setattr(run, field, getattr(row, field))
    return run


def sweep(*, engine: Engine, limit: int = 20) -> int:
    """Forget the dynos and drop the databases of builtin checks that have ended; how many. Repeatable, not for the fast path."""
    rows = CheckRun.objects.filter(builtin=True, status="completed").exclude(dyno="").order_by("finished_at")[:limit]
    for run in rows:
        for dyno in _dynos(run):
            engine.forget(dyno)
        if run.name == "tests":
            postgres.drop_throwaway(label=testing.dyno_id(run))
        CheckRun.objects.filter(pk=run.pk).update(dyno="")
    return len(rows)
