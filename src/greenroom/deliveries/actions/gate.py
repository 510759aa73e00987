"""Re-runs, overrides and external reports of checks. After each, the gate judges a withheld commit again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from greenroom.accounts.rules import Actor
from greenroom.apps.actions.worker import wake
from greenroom.apps.models import App
from greenroom.basics.errors import ConflictError
from greenroom.checks import actions as checks
from greenroom.checks.actions import external_reports, sarif_uploads
from greenroom.checks.models import CheckRun, Override, Status
from greenroom.checks.rules.sarif_import import Scan
from greenroom.deliveries.actions import PAUSED, reopen
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.queries import deployed_sha, required_checks


def rerun(*, app: App, sha: str, actor: Actor, name: str | None, home: Path) -> list[CheckRun]:
    """Start another attempt of one check, or of all checks that are not green. The gate judges a withheld commit by it;
    a live or superseded commit is unaffected.

    ConflictError for a commit without a build, since there is nothing to test. Other errors as
    ``checks.actions.rerun``.
    """
    newest = (
        Delivery.objects.filter(app=app, sha=sha, kind="push").select_related("build__slug").order_by("-seq").first()
    )
    if newest and newest.finished_at and not (newest.build and newest.build.slug):
        state = newest.state.replace("_", " ")
        raise ConflictError(
            f"{sha[:8]} was never built, so its checks cannot be rerun. Its delivery is {state}.",
            hint="push a new commit",
        )
    runs = checks.rerun(app=app, sha=sha, actor=actor, name=name)
    with suppress(ConflictError):
        reopen(app=app, sha=sha, home=home)
    wake()
    return runs


def override(*, app: App, sha: str, names: Sequence[str], reason: str, actor: Actor, home: Path) -> Override:
    """Let one commit pass the gate. The override is recorded permanently. Errors as ``checks.actions.override`` and
    ``reopen``.
    """
    row = checks.override(app=app, sha=sha, checks=names, reason=reason, actor=actor)
    reopen(app=app, sha=sha, home=home)
    return row


def reported(*, app: App, sha: str, home: Path) -> None:
    """Process an external report: wake the loop, and reopen the gate for a commit that was withheld.

    A commit older than the live one is unaffected. The report succeeds even if its delivery cannot be reopened.
    """
    withheld = (
        Delivery.objects.filter(app=app, sha=sha, kind="push", state="refused", release=None).order_by("-seq").first()
    )
    slug = withheld.build.slug if withheld and withheld.build else None
    paused = withheld is not None and withheld.reason.startswith(PAUSED)
    if withheld and slug and not paused:
        verdict = checks.judge(app=app, sha=sha, required=required_checks(app, slug))
        if verdict.colour in ("green", "pending"):
            with suppress(ConflictError):
                reopen(app=app, sha=sha, home=home)
    wake()


def add_status(*, app: App, sha: str, home: Path, **report: Any) -> Status:
    """Add an external commit status and let the gate judge it. Arguments and errors as
    ``external_reports.add_status``.
    """
    row = external_reports.add_status(app=app, sha=sha, **report)
    reported(app=app, sha=sha, home=home)
    return row


def open_run(*, app: App, sha: str, home: Path, **report: Any) -> CheckRun:
    """Open an external check run and let the gate judge it. Arguments and errors as ``external_reports.open_run``."""
    row = external_reports.open_run(app=app, sha=sha, **report)
    reported(app=app, sha=sha, home=home)
    return row


def change_run(*, app: App, run: CheckRun, home: Path, **report: Any) -> CheckRun:
    """Update a check run and let the gate judge it. Arguments and errors as ``external_reports.change_run``."""
    row = external_reports.change_run(app=app, run=run, **report)
    reported(app=app, sha=row.sha, home=home)
    return row


def upload_scans(*, actor: Actor, app: App, sha: str, home: Path, scans: Iterable[tuple[str, Scan]]) -> list[CheckRun]:
    """Create check runs from uploaded findings and let the gate judge them. scans: (check name, scan). Errors as
    ``upload``.
    """
    deployed = deployed_sha(app)
    runs = [
        sarif_uploads.upload(app=app, sha=sha, scan=scan, name=name, deployed_sha=deployed, home=home, actor=actor)
        for name, scan in scans
    ]
    reported(app=app, sha=sha, home=home)
    return runs
