"""Rules of releases: results of release commands, rollback targets, and descriptions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COMMAND_SECONDS = 3600.0
"""Timeout of a release command, as on Heroku."""


@dataclass(frozen=True)
class CommandEnd:
    """How the dyno of a release command ended. kind: ok, failed (the release is refused), lost (start it again under
    another id).
    """

    kind: str
    message: str = ""
    hint: str = ""


def command_end(
    *, phase: str, exit_code: int | None, reason: str, memory_mb: int, kind: str = "release"
) -> CommandEnd | None:
    """The result of a release command from the state of its dyno; None while it runs. kind: ``release`` or
    ``postdeploy``.
    """
    name = "release command" if kind == "release" else "postdeploy script"
    if phase not in ("exited", "lost"):
        return None
    if phase == "lost":
        return CommandEnd("lost", f"The {name}'s process was lost.", "it is restarted and must be repeatable")
    if reason == "timeout":
        return CommandEnd(
            "failed",
            f"The {name} was stopped after {COMMAND_SECONDS / 60:.0f} minutes.",
            "run long tasks in a one-off dyno",
        )
    if reason == "oom":
        return CommandEnd("failed", f"The {name} exceeded its memory limit of {memory_mb} MB.", "use smaller steps")
    if reason == "disk":
        return CommandEnd(
            "failed",
            f"The {name} was stopped: the machine's disk is full.",
            "ask the operator to free disk space; see greenroom doctor",
        )
    if exit_code == 0:
        return CommandEnd("ok")
    return CommandEnd(
        "failed", f"The {name} ended with exit code {exit_code}.", "see its output above, fix it and push again"
    )


@dataclass(frozen=True)
class Candidate:
    """The facts about a past release for a rollback."""

    version: int
    status: str
    has_slug: bool


def rollback_target(releases: Sequence[Candidate], current: int | None, wanted: int | None) -> int | str:
    """The version to roll back to, or an error message. Default: the last succeeded one before ``current``."""
    good = [r for r in releases if r.status == "succeeded" and r.has_slug]
    if wanted is not None:
        found = next((r for r in releases if r.version == wanted), None)
        if found is None:
            return f"There is no release v{wanted}."
        if found not in good:
            return (
                f"Cannot roll back to v{wanted}: it"
                f" {'has no code, or its slug was removed' if not found.has_slug else f'is {found.status}'}."
            )
        if wanted == current:
            return f"v{wanted} is the current release."
        return wanted
    before = [r.version for r in good if current is None or r.version < current]
    return max(before) if before else "There is no earlier release to roll back to."


def describe_deploy(sha: str) -> str:
    """``Deploy 575bfa81``, in Heroku's wording."""
    return f"Deploy {sha[:8]}"
