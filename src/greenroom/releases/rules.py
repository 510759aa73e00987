"""What may become a release and which one counts: numbering, eligibility for a rollback, and the words that describe
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COMMAND_SECONDS = 3600.0
"""How long a release command may take, as on Heroku."""


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
    """What a dyno's state means for its release; None while it runs. kind: ``release`` or ``postdeploy``."""
    name = "release command" if kind == "release" else "postdeploy script"
    if phase not in ("exited", "lost"):
        return None
    if phase == "lost":
        return CommandEnd("lost", f"The {name}'s process was lost.", "it is started again; it has to be repeatable")
    if reason == "timeout":
        return CommandEnd(
            "failed",
            f"The {name} took longer than {COMMAND_SECONDS / 60:.0f} minutes and was ended.",
            "do long work in a one-off dyno",
        )
    if reason == "oom":
        return CommandEnd("failed", f"The {name} needed more than {memory_mb} MB of memory.", "do it in smaller steps")
    if reason == "disk":
        return CommandEnd(
            "failed",
            f"The {name} was ended: the machine's disk is full.",
            "the operator makes room; greenroom doctor tells what takes it",
        )
    if exit_code == 0:
        return CommandEnd("ok")
    return CommandEnd(
        "failed", f"The {name} ended with exit code {exit_code}.", "read its output above, correct it, push again"
    )


@dataclass(frozen=True)
class Candidate:
    """A past release as far as a rollback cares."""

    version: int
    status: str
    has_slug: bool


def rollback_target(releases: Sequence[Candidate], current: int | None, wanted: int | None) -> int | str:
    """The version to go back to, or a text that says why there is none. Without ``wanted``: the last good one before
    ``current``.
    """
    good = [r for r in releases if r.status == "succeeded" and r.has_slug]
    if wanted is not None:
        found = next((r for r in releases if r.version == wanted), None)
        if found is None:
            return f"There is no release v{wanted}."
        if found not in good:
            return (
                f"v{wanted} cannot be rolled back to: it"
                f" {'has no code, or none that is kept' if not found.has_slug else f'is {found.status}'}."
            )
        if wanted == current:
            return f"v{wanted} is what runs now."
        return wanted
    before = [r.version for r in good if current is None or r.version < current]
    return max(before) if before else "There is no earlier release to roll back to."


def describe_deploy(sha: str) -> str:
    """``Deploy 575bfa81``: Heroku's words."""
    return f"Deploy {sha[:8]}"
