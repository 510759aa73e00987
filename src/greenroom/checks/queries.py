"""Reads check runs, and collects the facts for the verdict."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.db.models import Count, F, QuerySet, Window
from django.db.models.functions import RowNumber

from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.basics.errors import NotFoundError
from greenroom.checks import rules
from greenroom.checks.models import Annotation, CheckRun, GatePolicy, Ignore, Override, Pin, Status, Verdict

NUMBER = re.compile(r"[0-9]{1,18}\Z")


def latest(app: App, sha: str) -> list[CheckRun]:
    """The newest attempt of each check of the commit: built-in checks first, then by name. Defers long columns."""
    return latest_of_all(app, [sha]).get(sha, [])


def _rank(name: str) -> int:
    return rules.BUILTIN.index(name) if name in rules.BUILTIN else len(rules.BUILTIN)


def latest_of(app: App, sha: str, name: str) -> CheckRun | None:
    """The newest attempt of one check of the commit. The name is case-insensitive."""
    return CheckRun.objects.filter(app=app, sha=sha, name__iexact=name.strip()).order_by("-attempt").first()


def history(app: App, *, sha: str = "", name: str = "", limit: int = 50) -> list[CheckRun]:
    """All attempts, newest first, optionally of one commit or one check."""
    runs = CheckRun.objects.filter(app=app).order_by("-created_at", "-attempt")
    if sha:
        runs = runs.filter(sha=sha)
    if name:
        runs = runs.filter(name__iexact=name)
    return list(runs[:limit])


def findings(run: CheckRun, *, new_only: bool = False, limit: int = 200) -> list[Annotation]:
    """Findings of a run: new findings first, then by severity, path and line."""
    rows = Annotation.objects.filter(check_run=run).order_by("-new", "severity", "path", "line")
    return list((rows.filter(new=True) if new_only else rows)[:limit])


def ranked(run: CheckRun) -> QuerySet[Annotation]:
    """All findings of a run, annotated with their rank in that order."""
    place = Window(RowNumber(), order_by=[F("new").desc(), "severity", "path", "line", "id"])
    return Annotation.objects.filter(check_run=run).annotate(place=place)


def counts(runs: Iterable[CheckRun]) -> dict[UUID, int]:
    """Run id -> number of findings. Runs without findings are omitted."""
    rows = Annotation.objects.filter(check_run__in=list(runs)).values_list("check_run_id")
    return dict(rows.annotate(count=Count("id")).order_by())


def latest_of_all(app: App, shas: Iterable[str]) -> dict[str, list[CheckRun]]:
    """``latest`` for several commits in one query."""
    newest: dict[str, dict[str, CheckRun]] = {}
    for run in CheckRun.objects.filter(app=app, sha__in=set(shas)).defer("summary", "data").order_by("attempt"):
        newest.setdefault(run.sha, {})[rules.key(run.name)] = run
    return {sha: sorted(runs.values(), key=lambda run: (_rank(run.name), run.name)) for sha, runs in newest.items()}


def newest_verdicts(app: App, shas: Iterable[str]) -> dict[str, Verdict]:
    """``newest_verdict`` for several commits in one query."""
    return {
        row.sha: row
        for row in Verdict.objects.filter(app=app, sha__in=set(shas)).order_by("sha", "-id").distinct("sha")
    }


def newest_verdict(app: App, sha: str) -> Verdict | None:
    """The newest verdict for the commit, or None."""
    return Verdict.objects.filter(app=app, sha=sha).order_by("-id").first()


def as_rule(run: CheckRun) -> rules.Run:
    """Convert the row to the rules' dataclass."""
    return rules.Run(
        name=run.name,
        attempt=run.attempt,
        status=run.status,
        conclusion=run.conclusion,
        brief=run.brief or run.title,
        notes=tuple(run.notes),
        reporter=str(run.reporter or ""),
    )


def facts(app: App, sha: str, required: Iterable[str], *, runs: Iterable[CheckRun] | None = None) -> rules.Facts:
    """The facts for the verdict: the newest attempts (``runs`` if already loaded) and the overrides of this commit."""
    known = latest(app, sha) if runs is None else list(runs)
    return rules.Facts(
        sha=sha,
        required=tuple(required),
        runs=tuple(as_rule(run) for run in known),
        overrides=tuple(_as_leave(row) for row in Override.objects.filter(app=app, sha=sha).order_by("id")),
        allow_neutral=bool(app.settings.get("allow_neutral", False)),
        pins=pins(app) if any(not run.builtin for run in known) else {},
        silent=silent(app, sha, required, known),
    )


def _as_leave(row: Override) -> rules.Override:
    return rules.Override(
        checks=tuple(row.checks), attempts=row.attempts, reason=row.reason, actor=row.actor or "greenroom"
    )


def overrides(app: App, sha: str) -> list[tuple[Override, bool]]:
    """All overrides of a commit, oldest first, and whether each is still valid."""
    newest = rules.latest([as_rule(run) for run in latest(app, sha)])
    return [
        (row, rules.holds(_as_leave(row), newest)) for row in Override.objects.filter(app=app, sha=sha).order_by("id")
    ]


def silent(app: App, sha: str, required: Iterable[str], known: Iterable[CheckRun]) -> frozenset[str]:
    """``rules.key`` of each required check without any report within the app's timeout.

    The timeout starts with the newest attempt of a built-in check, so a re-run restarts it for all checks.
    """
    runs = list(known)
    missing = {rules.key(name) for name in required} - {rules.key(run.name) for run in runs}
    begun = max((run.created_at for run in runs if run.builtin), default=None)
    if not missing or begun is None or clock.now() - begun <= timedelta(minutes=policy(app).stale_after):
        return frozenset()
    return frozenset(missing - set(rules.BUILTIN))


def unfinished() -> list[tuple[UUID, str]]:
    """(app id, commit) of the built-in checks that have not ended."""
    rows = CheckRun.objects.filter(builtin=True).exclude(status="completed")
    return list(rows.order_by("app_id", "sha").values_list("app_id", "sha").distinct())


def ignores(app: App) -> list[rules.Ignore]:
    """The app's ignores that were not revoked, including expired ones."""
    rows = Ignore.objects.filter(app=app, ended_at=None).order_by("id")
    return [
        rules.Ignore(fingerprint=row.fingerprint, reason=row.reason, actor=row.actor, until=row.until) for row in rows
    ]


def policy(app: App) -> GatePolicy:
    """The app's gate policy, or the defaults."""
    return GatePolicy.objects.filter(app=app).first() or GatePolicy(app=app)


def pins(app: App) -> dict[str, str]:
    """``rules.key`` of each pinned check -> the id of its token."""
    return {pin.name: str(pin.token_id) for pin in Pin.objects.filter(app=app)}


def of_number(app: App, number: str) -> CheckRun:
    """The check run with that number. Raises NotFoundError."""
    run = CheckRun.objects.filter(app=app, number=int(number)).first() if NUMBER.match(number) else None
    if run is None:
        raise NotFoundError("Couldn't find that check run.", resource="check")
    return run


def statuses(app: App, sha: str) -> QuerySet[Status]:
    """All statuses reported for the commit, newest first."""
    return Status.objects.select_related("account").filter(app=app, sha=sha).order_by("-id")


def newest_statuses(app: App, sha: str) -> list[Status]:
    """The newest status of each context of the commit, newest first. Contexts are case-insensitive."""
    newest: dict[str, Status] = {}
    for row in statuses(app, sha):
        newest.setdefault(rules.key(row.context), row)
    return list(newest.values())
