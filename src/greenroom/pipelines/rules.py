"""Rules of pipelines: names, stages, roles, promotions and states. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from greenroom.apps.rules import RANK

STAGES = ("review", "development", "staging", "production")
ORDER = ("development", "staging", "production")
"""The stages of a promotion without named targets, in order."""
CONFIG_STAGES = ("test", "review")
NAME = re.compile(r"[a-z][a-z0-9-]{2,29}\Z")
TEST_ENDED = ("succeeded", "failed", "errored", "cancelled")
ENDED_TEST = {
    "success": "succeeded",
    "failure": "failed",
    "cancelled": "cancelled",
    "skipped": "cancelled",
    "stale": "cancelled",
}


def app_json(data: bytes | None) -> dict[str, Any]:
    """The object in an app.json; empty for none and for a faulty one, whose error the build reports."""
    try:
        found = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def name_problem(name: str) -> str:
    """Why the name is invalid; empty if it is valid."""
    if NAME.match(name):
        return ""
    return (
        f"Invalid name {name[:60]!r}: use 3 to 30 characters, lower-case letters, digits and dashes, starting with a"
        " letter."
    )


def stage_problem(stage: str) -> str:
    """Why the stage is invalid; empty if it is valid."""
    return "" if stage in STAGES else f"Unknown stage {stage[:60]!r}. Stages: {', '.join(STAGES)}."


def role_in_pipeline(*, owns: bool, roles: Sequence[str]) -> str:
    """The role in a pipeline: the lowest role in its apps, but at least viewer for a user who can see one of them.

    A change of a pipeline affects all its apps, so it requires the role in each. The pipeline's owner has all rights.
    """
    if owns:
        return "owner"
    if not any(RANK[role] >= RANK["viewer"] for role in roles):
        return "none"
    lowest = min(roles, key=lambda role: RANK[role])
    return "operator" if lowest == "owner" else "viewer" if lowest == "none" else lowest


def promotion_problem(*, source: str, stages: Mapping[str, str], targets: Sequence[str]) -> str:
    """Why ``source`` cannot be promoted to the targets; empty if it can. stages: app name -> stage."""
    if source not in stages:
        return f"{source} is not an app of this pipeline."
    if not targets:
        return "A promotion needs at least one target."
    if len(set(targets)) != len(targets):
        return "A target is named twice."
    if source in targets:
        return f"{source} cannot be promoted to itself."
    foreign = [name for name in targets if name not in stages]
    return f"{', '.join(foreign)}: not in this pipeline." if foreign else ""


def next_targets(*, source: str, stages: Mapping[str, str]) -> list[str] | str:
    """The apps of the next stage, by name, or a text with the reason why there are none."""
    stage = stages.get(source, "")
    if stage not in ORDER[:-1]:
        return f"{source} is in the stage {stage or '(none)'}; promotions go from development to staging to production."
    following = ORDER[ORDER.index(stage) + 1]
    found = sorted(name for name, place in stages.items() if place == following)
    return found or f"There is no app in the stage {following}."


def outcome(
    *, delivery: str, reason: str, release: str, pending: Sequence[str], app: str, version: int | None
) -> tuple[str, str]:
    """(``pending``, ``succeeded`` or ``failed``; the reason) of a target, from its delivery's state and its release's
    status.
    """
    if delivery == "live" or (not delivery and release == "succeeded"):
        return "succeeded", ""
    if delivery == "held":
        return "failed", held_text(app=app, version=version, pending=pending)
    if delivery in ("refused", "failed", "superseded") or release in ("failed", "refused", "expired"):
        return "failed", reason or f"v{version} of {app} did not go live"
    if not version:
        return "failed", f"the release of {app} was deleted"
    return "pending", ""


def held_text(*, app: str, version: int | None, pending: Sequence[str]) -> str:
    """The message for a promotion that waits for pending migrations."""
    shown = ", ".join(pending[:5]) + (f" and {len(pending) - 5} more" if len(pending) > 5 else "")
    number = (
        f"{len(pending)} migration{' is' if len(pending) == 1 else 's are'} pending in {app}: {shown}. "
        if pending
        else ""
    )
    return (
        f"v{version} is held. {number}To apply them: greenroom run -a {app} python manage.py migrate; "
        f"then v{version} goes live automatically. To release without them: greenroom pipelines:promote --force"
    )


def forced_targets(header: str, targets: Sequence[str]) -> list[str]:
    """The targets named in a header ``Greenroom-Force: app, app``. Other names are ignored."""
    named = {part.strip() for part in header.split(",")}
    return [name for name in targets if name in named]


def review_app_name(*, base: str, branch: str, random: str) -> str:
    """An app name for a branch, at most 30 characters. random: some lower-case letters and digits."""
    words = re.sub(r"[^a-z0-9]+", "-", branch.lower()).strip("-")[:14].strip("-") or "branch"
    return f"{base[:9].strip('-')}-{words}-{random[:4]}"


def review_state(*, delivery: str) -> str:
    """Heroku's status of a review app, from the delivery state of its newest commit. delivery: empty without one."""
    if delivery in ("live", "held"):
        return "created"
    return "errored" if delivery in ("refused", "failed") else "creating"


def test_status(*, state: str, check: str, conclusion: str) -> str:
    """Heroku's status of a test run. state: the row's own; check: its check run's status, empty without one."""
    if check == "completed":
        return ENDED_TEST.get(conclusion, "errored")
    if state in ("ended", "cancelled"):
        return "errored" if state == "ended" else "cancelled"
    return "running" if check == "in_progress" else "building" if state == "building" or check else "pending"
