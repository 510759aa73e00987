"""Reads check runs, and gathers the facts that the gate judges."""

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
    """The newest attempt of each check of the commit, builtin ones first, then by name. Their long columns are read
    when asked for.
    """
    return latest_of_all(app, [sha]).get(sha, [])


def _rank(name: str) -> int:
    return rules.BUILTIN.index(name) if name in rules.BUILTIN else len(rules.BUILTIN)


def latest_of(app: App, sha: str, name: str) -> CheckRun | None:
    """The newest attempt of one check of the commit; the name's case does not count."""
    return CheckRun.objects.filter(app=app, sha=sha, name__iexact=name.strip()).order_by("-attempt").first()


def history(app: App, *, sha: str = "", name: str = "", limit: int = 50) -> list[CheckRun]:
    """Runs, newest first, all attempts; of one commit or one check if given."""
    runs = CheckRun.objects.filter(app=app).order_by("-created_at", "-attempt")
    if sha:
        runs = runs.filter(sha=sha)
    if name:
        runs = runs.filter(name__iexact=name)
    return list(runs[:limit])


def findings(run: CheckRun, *, new_only: bool = False, limit: int = 200) -> list[Annotation]:
    """Findings of a run: new ones first, then by severity, path and line."""
    rows = Annotation.objects.filter(check_run=run).order_by("-new", "severity", "path", "line")
    return list((rows.filter(new=True) if new_only else rows)[:limit])


def ranked(run: CheckRun) -> QuerySet[Annotation]:
    """All findings of a run, with their place in that order."""
    place = Window(RowNumber(), order_by=[F("new").desc(), "severity", "path", "line", "id"])
    return Annotation.objects.filter(check_run=run).annotate(place=place)


def counts(runs: Iterable[CheckRun]) -> dict[UUID, int]:
    """Run -> how many findings it has, of those that have any."""
    rows = Annotation.objects.filter(check_run__in=list(runs)).values_list("check_run_id")
    return dict(rows.annotate(count=Count("id")).order_by())


def latest_of_all(app: App, shas: Iterable[str]) -> dict[str, list[CheckRun]]:
    """``latest`` of several commits, by one query."""
    newest: dict[str, dict[str, CheckRun]] = {}
    for run in CheckRun.objects.filter(app=app, sha__in=set(shas)).defer("summary", "data").order_by("attempt"):
        newest.setdefault(run.sha, {})[rules.key(run.name)] = run
    return {sha: sorted(runs.values(), key=lambda run: (_rank(run.name), run.name)) for sha, runs in newest.items()}


def newest_verdicts(app: App, shas: Iterable[str]) -> dict[str, Verdict]:
    """``newest_verdict`` of several commits, by one query."""
    return {
        row.sha: row
        for row in Verdict.objects.filter(app=app, sha__in=set(shas)).order_by("sha", "-id").distinct("sha")
    }


def newest_verdict(app: App, sha: str) -> Verdict | None:
    """The gate's last answer for the commit, or None before the first."""
    return Verdict.objects.filter(app=app, sha=sha).order_by("-id").first()


def as_rule(run: CheckRun) -> rules.Run:
    """The row as the gate sees it."""
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
    """What the gate judges: the newest attempts (``runs`` if they were read already), and the overrides of exactly this
    commit.
    """
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
    """All overrides of a commit, oldest first, and whether each still holds."""
    newest = rules.latest([as_rule(run) for run in latest(app, sha)])
    return [
        (row, rules.holds(_as_leave(row), newest)) for row in Override.objects.filter(app=app, sha=sha).order_by("id")
    ]


def silent(app: App, sha: str, required: Iterable[str], known: Iterable[CheckRun]) -> frozenset[str]:
    """``rules.key`` of the required checks of which nothing was ever reported within the time that the app gives them.

    It counts from the newest attempt of a builtin check: with a re-run the others get their time anew.
    """
    runs = list(known)
    missing = {rules.key(name) for name in required} - {rules.key(run.name) for run in runs}
    begun = max((run.created_at for run in runs if run.builtin), default=None)
    if not missing or begun is None or clock.now() - begun <= timedelta(minutes=policy(app).stale_after):
        return frozenset()
    return frozenset(missing - set(rules.BUILTIN))


def unfinished() -> list[tuple[UUID, str]]:
    """(app, commit) of the builtin checks that have not ended."""
    rows = CheckRun.objects.filter(builtin=True).exclude(status="completed")
    return list(rows.order_by("app_id", "sha").values_list("app_id", "sha").distinct())


def ignores(app: App) -> list[rules.Ignore]:
    """The app's ignores that nobody has taken back, those that have run out included."""
    rows = Ignore.objects.filter(app=app, ended_at=None).order_by("id")
    return [
        rules.Ignore(fingerprint=row.fingerprint, reason=row.reason, actor=row.actor, until=row.until) for row in rows
    ]


def policy(app: App) -> GatePolicy:
    """How strict the app's gate is; the defaults when nobody has said."""
    return GatePolicy.objects.filter(app=app).first() or GatePolicy(app=app)


def pins(app: App) -> dict[str, str]:
    """``rules.key`` of each pinned check -> the id of the token that it is pinned to."""
    return {pin.name: str(pin.token_id) for pin in Pin.objects.filter(app=app)}


def of_number(app: App, number: str) -> CheckRun:
    """The check run of that number. NotFoundError if the app has none."""
    run = CheckRun.objects.filter(app=app, number=int(number)).first() if NUMBER.match(number) else None
    if run is None:
        raise NotFoundError("Couldn't find that check run.", resource="check")
    return run


def statuses(app: App, sha: str) -> QuerySet[Status]:
    """All statuses that were reported of the commit, newest first."""
    return Status.objects.select_related("account").filter(app=app, sha=sha).order_by("-id")


def newest_statuses(app: App, sha: str) -> list[Status]:
    """The newest status of each context of the commit, newest first; the case of a context does not count."""
    newest: dict[str, Status] = {}
    for row in statuses(app, sha):
        newest.setdefault(rules.key(row.context), row)
    return list(newest.values())
