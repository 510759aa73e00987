"""What holds for pipelines: names and stages, who stands how to one, what a promotion moves and how it went. No Django,
clock or disk.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from greenroom.apps.rules import RANK

STAGES = ("review", "development", "staging", "production")
ORDER = ("development", "staging", "production")
"""What a promotion without a named target goes through."""
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


def name_problem(name: str) -> str:
    """Why it cannot be a pipeline's name; empty if it can."""
    if NAME.match(name):
        return ""
    return (
        f"Name {name[:60]!r} is not allowed: 3 to 30 characters, lower-case letters, digits and dashes, starting with a"
        " letter."
    )


def stage_problem(stage: str) -> str:
    """Why it is no stage; empty if it is."""
    return "" if stage in STAGES else f"Stage {stage[:60]!r} does not exist: stages are {', '.join(STAGES)}."


def role_in_pipeline(*, owns: bool, roles: Sequence[str]) -> str:
    """Somebody's role in a pipeline from those in its apps: the lowest of them, at least viewer for who may see one of
    the apps.

    What one changes of a pipeline reaches all its apps, so it takes a role in each; the owner of the pipeline may do
    all.
    """
    if owns:
        return "owner"
    if not any(RANK[role] >= RANK["viewer"] for role in roles):
        return "none"
    lowest = min(roles, key=lambda role: RANK[role])
    return "operator" if lowest == "owner" else "viewer" if lowest == "none" else lowest


def promotion_problem(*, source: str, stages: Mapping[str, str], targets: Sequence[str]) -> str:
    """Why the code of ``source`` cannot move to the targets; empty if it can. stages: name -> stage of the pipeline's
    apps.
    """
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
    """The apps of the stage after the source's, by name, or a text that says why there are none."""
    stage = stages.get(source, "")
    if stage not in ORDER[:-1]:
        return (
            f"{source} is in the stage {stage or 'of no pipeline'}; a promotion goes from development to staging to"
            " production."
        )
    following = ORDER[ORDER.index(stage) + 1]
    found = sorted(name for name, place in stages.items() if place == following)
    return found or f"There is no app in the stage {following}."


def outcome(
    *, delivery: str, reason: str, release: str, pending: Sequence[str], app: str, version: int | None
) -> tuple[str, str]:
    """(pending, succeeded or failed; why) of one target from its delivery's state and its release's status."""
    if delivery == "live" or (not delivery and release == "succeeded"):
        return "succeeded", ""
    if delivery == "held":
        return "failed", held_text(app=app, version=version, pending=pending)
    if delivery in ("refused", "failed", "superseded") or release in ("failed", "refused", "expired"):
        return "failed", reason or f"v{version} of {app} did not go live"
    if not version:
        return "failed", f"the release of {app} is gone"
    return "pending", ""


def held_text(*, app: str, version: int | None, pending: Sequence[str]) -> str:
    """What a person is told when pending migrations stop a promotion."""
    shown = ", ".join(pending[:5]) + (f" and {len(pending) - 5} more" if len(pending) > 5 else "")
    number = (
        f"{len(pending)} migration{' is' if len(pending) == 1 else 's are'} pending in {app}: {shown}. "
        if pending
        else ""
    )
    return (
        f"v{version} is held. {number}Nothing migrates for you: greenroom run -a {app} python manage.py migrate; "
        f"then v{version} goes live by itself. All the same: greenroom pipelines:promote --force"
    )


def forced_targets(header: str, targets: Sequence[str]) -> list[str]:
    """The targets that a header ``Greenroom-Force: app, app`` names. Names that are no targets force nothing."""
    named = {part.strip() for part in header.split(",")}
    return [name for name in targets if name in named]


def review_app_name(*, base: str, branch: str, random: str) -> str:
    """A name for the app of a branch, within the 30 characters that an app's name may have. random: some lower-case
    letters and digits.
    """
    words = re.sub(r"[^a-z0-9]+", "-", branch.lower()).strip("-")[:14].strip("-") or "branch"
    return f"{base[:9].strip('-')}-{words}-{random[:4]}"


def review_state(*, delivery: str) -> str:
    """Heroku's word for a review app whose newest commit's delivery is in this state; empty without one."""
    if delivery in ("live", "held"):
        return "created"
    return "errored" if delivery in ("refused", "failed") else "creating"


def test_status(*, state: str, check: str, conclusion: str) -> str:
    """Heroku's word for a test run. state: the row's own; check: its check run's status, empty without one."""
    if check == "completed":
        return ENDED_TEST.get(conclusion, "errored")
    if state in ("ended", "cancelled"):
        return "errored" if state == "ended" else "cancelled"
    return "running" if check == "in_progress" else "building" if state == "building" or check else "pending"
