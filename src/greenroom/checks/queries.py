"""Reads check runs, and gathers the facts that the gate judges."""

from __future__ import annotations

from collections.abc import Iterable

from greenroom.apps.models import App
from greenroom.checks import rules
from greenroom.checks.models import Annotation, CheckRun, Override, Verdict


def latest(app: App, sha: str) -> list[CheckRun]:
    """The newest attempt of each check of the commit, builtin ones first, then by name. Their long columns are read when asked for."""
    newest: dict[str, CheckRun] = {}
    for run in CheckRun.objects.filter(app=app, sha=sha).defer("summary", "data").order_by("attempt"):
        newest[rules.key(run.name)] = run
    return sorted(newest.values(), key=lambda run: (_rank(run.name), run.name))


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
    )


def facts(app: App, sha: str, required: Iterable[str], *, runs: Iterable[CheckRun] | None = None) -> rules.Facts:
    """What the gate judges: the newest attempts (``runs`` if they were read already), and the overrides of exactly this commit."""
    return rules.Facts(
        sha=sha,
        required=tuple(required),
        runs=tuple(as_rule(run) for run in (latest(app, sha) if runs is None else runs)),
        overrides=tuple(
            rules.Override(
                checks=tuple(row.checks), attempts=row.attempts, reason=row.reason, actor=row.actor or "greenroom"
            )
            for row in Override.objects.filter(app=app, sha=sha).order_by("id")
        ),
        allow_neutral=bool(app.settings.get("allow_neutral", False)),
    )
