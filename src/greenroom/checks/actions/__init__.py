"""Writes check runs, verdicts and overrides: begin, report, rerun, cancel, judge and override.

``steps`` executes the built-in checks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.apps.actions import lock_app
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError, ForbiddenError, NotFoundError, UserError
from greenroom.basics.text import printable
from greenroom.checks import queries, rules
from greenroom.checks.actions.check_runs import annotate, locked, move, write
from greenroom.checks.builtin.dynos import dynos
from greenroom.checks.models import CheckRun, Override, Verdict
from greenroom.engine.contract import Engine
from greenroom.git.queries import pushers

SHA = re.compile(r"[0-9a-f]{40}\Z")
MAX_ATTEMPTS = 1000


def begin(*, app: App, sha: str, names: Iterable[str]) -> list[CheckRun]:
    """The newest attempt of each named check; missing checks are created as queued. Idempotent.

    A cancelled built-in check gets a new attempt, because its commit is being deployed again.
    """
    wanted = list(names)
    found = {rules.key(run.name): run for run in queries.latest(app, sha)}
    if all(rules.key(name) in found and not _gone(found[rules.key(name)]) for name in wanted):
        return [found[rules.key(name)] for name in wanted]
    with transaction.atomic():
        lock_app(app.pk)
        return [_begun(app, sha, name) for name in wanted]


def _gone(run: CheckRun) -> bool:
    return run.builtin and run.conclusion == "cancelled"


def _begun(app: App, sha: str, name: str) -> CheckRun:
    run = queries.latest_of(app, sha, name)
    if run is None:
        return _attempt(app, sha, name, 1)
    return _attempt(app, sha, run.name, run.attempt + 1) if _gone(run) else run


def _attempt(app: App, sha: str, name: str, number: int) -> CheckRun:
    if number > MAX_ATTEMPTS:
        raise UserError(f"Check {name} of {sha[:8]} reached {MAX_ATTEMPTS} attempts (limit).", hint="push a new commit")
    builtin = name in rules.BUILTIN
    top = CheckRun.objects.filter(app=app).aggregate(top=Max("number"))["top"] or 0
    return CheckRun.objects.create(app=app, sha=sha, name=name, attempt=number, builtin=builtin, number=top + 1)


@transaction.atomic
def report(
    *,
    app: App,
    sha: str,
    name: str,
    status: str,
    conclusion: str = "",
    title: str = "",
    summary: str = "",
    url: str = "",
    annotations: Sequence[Mapping[str, Any]] = (),
    actor: Actor | None = None,
    anew: bool = False,
) -> CheckRun:
    """Record a report of a check. Idempotent; a report after completion, or with ``anew``, starts a new attempt.

    annotations: maps with path, line, message and optionally column, rule, severity (1-4), tool; they are appended.
    actor: None for Greenroom, which may report a built-in check only as ``error``. Raises UserError for an invalid sha
    or name, a built-in check, an unknown status or conclusion, and ``stale``.
    """
    name = printable(name).strip()[:100]
    _refuse(sha, name, status, conclusion)
    if actor is not None or conclusion != "error":
        _refuse_builtin(name)
    lock_app(app.pk)
    _refuse_strangers(app, name, actor)
    run = _latest_locked(app, sha, name)
    words = {"title": printable(title)[:255], "summary": printable(summary)[:65_535], "url": printable(url)[:2000]}
    if run and run.status == "completed":
        if not anew and _content(run) == (status, conclusion, *words.values()):
            return run
        run = _attempt(app, sha, run.name, run.attempt + 1)
    run = run or _attempt(app, sha, name, 1)
    claim(run, actor)
    _move_as_reported(run, status, conclusion, words)
    annotate(run, [{"tool": name[:40], **item} for item in annotations])
    if actor:
        detail = {"check": run.name, "sha": sha, "attempt": run.attempt, "status": status, "conclusion": conclusion}
        audit(actor=actor, action="check.report", app=app, detail=detail)
    return run


def refuse_report(*, app: App, run: CheckRun, actor: Actor) -> None:
    """Raise UserError for a built-in check and ForbiddenError for a check that is pinned to another token."""
    _refuse_builtin(run.name)
    _refuse_strangers(app, run.name, actor)


def end_unfinished(*, app: App, run: CheckRun, why: str) -> None:
    """Cancel an external attempt that another attempt replaces."""
    lock_app(app.pk)
    if locked(run).status != "completed":
        move(run, status="completed", conclusion="cancelled", title=printable(why)[:255])


def _refuse_builtin(name: str) -> None:
    if rules.key(name) in rules.BUILTIN:
        raise UserError(f"Check {name} is a built-in check and cannot be reported.", hint="choose another name")


def _refuse_strangers(app: App, name: str, actor: Actor | None) -> None:
    """Raise ForbiddenError for a check that is pinned to another token. Greenroom itself may always report."""
    pin = queries.pins(app).get(rules.key(name))
    if actor and pin and str(actor.token_id) != pin:
        hint = f"report with that token, or unpin the check: greenroom checks:unpin {name} -a {app.name}"
        raise ForbiddenError(f"Check {name} of {app.name} is pinned to another token.", hint=hint)


def claim(run: CheckRun, actor: Actor | None) -> None:
    """Record the token that reports the attempt. The first reporter is kept."""
    if actor and actor.token_id and run.reporter is None and run.status == "queued":
        write(run, reporter=actor.token_id)


def _refuse(sha: str, name: str, status: str, conclusion: str) -> None:
    if not SHA.match(sha):
        raise UserError(f"Invalid commit SHA: {sha[:50]!r}. Use all 40 hexadecimal digits.")
    if not name:
        raise UserError("The check name is missing.", hint="for example ci/build")
    if conclusion == "stale":
        raise UserError("Only Greenroom sets the conclusion stale.", hint="use cancelled, skipped or timed_out")
    before = "queued" if status == "queued" else "in_progress"
    problem = rules.move_problem(status=before, to_status=status, to_conclusion=conclusion)
    if problem:
        raise UserError(f"Check {name}: {problem}.")


def _move_as_reported(run: CheckRun, status: str, conclusion: str, words: dict[str, str]) -> None:
    """A report that completes a queued run first moves it to in_progress."""
    if status == "completed" and run.status == "queued" and conclusion not in rules.UNSTARTED_ENDS:
        move(run, status="in_progress")
    if status == run.status or status == "queued":
        write(run, **words)
    else:
        move(run, status=status, conclusion=conclusion, **words)


@transaction.atomic
def rerun(*, app: App, sha: str, actor: Actor, name: str | None = None) -> list[CheckRun]:
    """Start a new attempt of the named check, or of all unsuccessful checks. Running checks are not changed.

    Raises NotFoundError for an unknown check; ConflictError if the check has not ended or nothing can be rerun.
    """
    lock_app(app.pk)
    runs = [run for run in queries.latest(app, sha) if rules.key(run.name) != rules.REHEARSAL]
    if name is not None and rules.key(name) == rules.REHEARSAL:
        raise ConflictError(
            "Rehearsals cannot be rerun as checks.", hint=f"greenroom migrations:rehearse -a {app.name}"
        )
    if name is not None:
        runs = [run for run in runs if rules.key(run.name) == rules.key(name)]
        if not runs:
            raise NotFoundError(
                f"Commit {sha[:8]} has no check {name[:100]!r}.",
                hint=f"greenroom checks -a {app.name}",
                resource="check",
            )
        if runs[0].status != "completed":
            raise ConflictError(f"Check {runs[0].name} of {sha[:8]} has not ended yet.", hint="wait until it ends")
    ended = [run for run in runs if run.status == "completed" and (name is not None or run.conclusion != "success")]
    if not ended:
        raise ConflictError(f"No failed checks to rerun for {sha[:8]}.")
    fresh = [_attempt(app, sha, run.name, run.attempt + 1) for run in ended]
    detail = {"sha": sha, "checks": {run.name: run.attempt for run in fresh}}
    audit(actor=actor, action="check.rerun", app=app, detail=detail)
    return fresh


@transaction.atomic
def override(
    *, app: App, sha: str, checks: Sequence[str], reason: str, actor: Actor, required: Sequence[str] | None = None
) -> Override:
    """Override the named checks of one commit. A new attempt of one of its checks voids the override.

    Raises UserError for a reason under 10 characters, or a check that is neither required nor reported. The caller
    checks the actor's permission.
    """
    lock_app(app.pk)
    names = list(app.required_checks if required is None else required)
    reported = queries.latest(app, sha)
    runs = [run for run in reported if rules.key(run.name) != rules.REHEARSAL]
    known = list({rules.key(name): name for name in [*names, *(run.name for run in reported)]}.values())
    _refuse_override(app=app, sha=sha, checks=checks, known=known, reason=reason, actor=actor)
    seen = {name: 0 for name in known if rules.key(name) != rules.REHEARSAL} | {run.name: run.attempt for run in runs}
    row = Override.objects.create(
        app=app,
        sha=sha,
        checks=list(checks),
        attempts=seen,
        reason=printable(reason).strip(),
        account_id=actor.account_id,
        actor=actor.email,
    )
    last = queries.newest_verdict(app, sha)
    shown = {"colour": last.colour, "reasons": last.reasons} if last else {}
    detail = {"sha": sha, "checks": list(checks), "reason": row.reason, "verdict": shown}
    audit(actor=actor, action="deploy.override", app=app, detail=detail)
    return row


def _latest_locked(app: App, sha: str, name: str) -> CheckRun | None:
    """The check's latest run, locked separately, because a stale run ends without the app's lock."""
    run = queries.latest_of(app, sha, name)
    return locked(run) if run else None


def _content(run: CheckRun) -> tuple[str, str, str, str, str]:
    return (run.status, run.conclusion, run.title, run.summary, run.url)


def _refuse_override(
    *, app: App, sha: str, checks: Sequence[str], known: Sequence[str], reason: str, actor: Actor
) -> None:
    problem = rules.override_problem(checks=checks, known=known, reason=reason)
    if not SHA.match(sha):
        problem = "it needs the full 40-digit SHA of one commit"
    if problem:
        raise UserError(
            f"Override refused: {problem}.",
            hint=f'greenroom deploy:override SHA --check NAME --reason "..." -a {app.name}',
        )
    if queries.policy(app).two_people and actor.account_id in set(pushers(app, sha)):
        raise ForbiddenError(
            f"The author of push {sha[:8]} cannot override its checks ({app.name} has the two-person rule).",
            hint="ask another user with the role operator",
        )


def judge(*, app: App, sha: str, required: Iterable[str]) -> Verdict:
    """The current verdict. Writes a row only if colour or reasons differ from the commit's newest verdict."""
    runs = queries.latest(app, sha)
    now = clock.now()
    if any(
        rules.is_stale(status=run.status, updated_at=run.updated_at, now=now, after=rules.STALE_AT_LEAST)
        for run in runs
    ) and _expire(app, runs):
        runs = queries.latest(app, sha)
    facts = queries.facts(app, sha, required, runs=runs)
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


def _expire(app: App, runs: Iterable[CheckRun]) -> bool:
    """Mark runs without a report within the app's timeout as stale. Returns whether there were any."""
    after = timedelta(minutes=queries.policy(app).stale_after)
    now = clock.now()
    silent = [run for run in runs if rules.is_stale(status=run.status, updated_at=run.updated_at, now=now, after=after)]
    for run in silent:
        with transaction.atomic():
            row = CheckRun.objects.select_for_update(no_key=True).get(pk=run.pk)
            if rules.is_stale(status=row.status, updated_at=row.updated_at, now=now, after=after):
                minutes = int(after.total_seconds() // 60)
                span = f"{minutes // 60} hours" if minutes % 60 == 0 else f"{minutes} minutes"
                title = f"no result after {span}" if row.builtin else f"no report from its provider for {span}"
                move(row, status="completed", conclusion="stale", title=title)
    return bool(silent)


@transaction.atomic
def cancel(*, app: App, sha: str, engine: Engine, why: str) -> list[CheckRun]:
    """Cancel the built-in checks of a superseded commit and kill their dynos. why: such as ``superseded by SHA``.

    Updates an existing verdict, so that no verdict reports a pending check.
    """
    lock_app(app.pk)
    rows = (
        CheckRun.objects.select_for_update(no_key=True)
        .filter(app=app, sha=sha, builtin=True)
        .exclude(status="completed")
    )
    ended = list(rows)
    for run in ended:
        move(run, status="completed", conclusion="cancelled", title=printable(why)[:255])
        for dyno in dynos(run):
            engine.signal(dyno, "KILL")
    last = queries.newest_verdict(app, sha) if ended else None
    if last:
        judge(app=app, sha=sha, required=last.inputs.get("required") or rules.required_names(app.required_checks))
    return ended
