"""Re-runs, overrides and reports of checks: each lets the gate judge a withheld commit again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from greenroom.accounts.rules import Actor
from greenroom.apps.models import App
from greenroom.basics.errors import ConflictError
from greenroom.checks import actions as checks
from greenroom.checks.models import CheckRun, Override
from greenroom.deliveries.actions import PAUSED, reopen, wake
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.queries import required_checks


def rerun(*, app: App, sha: str, actor: Actor, name: str | None, home: Path) -> list[CheckRun]:
    """Another attempt of a check, or of all that are not green. A withheld commit is judged by it; one that is live, or
    overtaken, stays as it is.

    ConflictError for a commit that was never built: nothing is there that could be tested. Else as
    ``checks.actions.rerun``.
    """
    newest = (
        Delivery.objects.filter(app=app, sha=sha, kind="push").select_related("build__slug").order_by("-seq").first()
    )
    if newest and newest.finished_at and not (newest.build and newest.build.slug):
        state = newest.state.replace("_", " ")
        raise ConflictError(
            f"{sha[:8]} was never built, so nothing can be run again: its delivery is {state}.",
            hint="push a new commit",
        )
    runs = checks.rerun(app=app, sha=sha, actor=actor, name=name)
    with suppress(ConflictError):
        reopen(app=app, sha=sha, home=home)
    wake()
    return runs


def override(*, app: App, sha: str, names: Sequence[str], reason: str, actor: Actor, home: Path) -> Override:
    """Let one commit through the gate, recorded for ever. Errors as ``checks.actions.override`` and ``reopen``."""
    row = checks.override(app=app, sha=sha, checks=names, reason=reason, actor=actor)
    reopen(app=app, sha=sha, home=home)
    return row


def reported(*, app: App, sha: str, home: Path) -> None:
    """A check from outside has moved: wake the loop, and let the gate judge again a commit that the verdict had
    withheld.

    A commit behind a live one stays as it is. A report never fails for what becomes of its delivery.
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
