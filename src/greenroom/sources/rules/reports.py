"""The statuses and deployments of a delivery for a forge, and the retry intervals. Pure; the forge builds the
requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from greenroom.basics.backoff import Backoff
from greenroom.basics.text import printable

STATES = ("pending", "success", "failure", "error", "cancelled", "inactive")
ON_ITS_WAY = {
    "received": "waiting for its build",
    "building": "building",
    "checking": "tests and scan",
    "releasing": "releasing",
    "rolling_out": "starting",
}
ENDS = {"live": "success", "held": "pending", "refused": "failure", "failed": "failure", "superseded": "cancelled"}
CHECKS = {
    "success": "success",
    "neutral": "success",
    "skipped": "success",
    "failure": "failure",
    "timed_out": "failure",
    "action_required": "failure",
    "cancelled": "cancelled",
}
BACKOFF = Backoff(first=10, longest=1800, attempts=12)
LATER = (408, 403, 409, 425, 429)
"""Error codes worth a retry: GitHub reports rate limits as 403 and 429."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """One status or deployment to report. kind: status or deployment; context: its name; state: one of STATES."""

    kind: str
    context: str
    state: str
    description: str


@dataclass(frozen=True, kw_only=True)
class Check:
    """A builtin check of the delivery's commit."""

    name: str
    status: str
    conclusion: str
    title: str


def wanted(
    *, app: str, state: str, reason: str, version: int | None, checks: Sequence[Check], deployments: bool
) -> list[Told]:
    """All reports that a delivery in this state needs."""
    release = f"v{version} " if version else ""
    says = (
        ON_ITS_WAY.get(state)
        or {"live": f"{release}is live", "held": f"{release}is held: its migrations are pending"}.get(state)
        or reason
        or state
    )
    found = [Told(kind="status", context=f"greenroom/{app}", state=ENDS.get(state, "pending"), description=short(says))]
    for check in checks:
        told = CHECKS.get(check.conclusion, "error") if check.status == "completed" else "pending"
        says_check = short(check.title or check.conclusion or check.status)
        found.append(Told(kind="status", context=f"greenroom/{app}/{check.name}", state=told, description=says_check))
    if deployments and version:
        found.append(Told(kind="deployment", context=app, state=ENDS.get(state, "pending"), description=short(says)))
    return found


def short(text: str) -> str:
    """One line of at most 140 characters, GitHub's limit."""
    line = " ".join(printable(text, one_line=True).split())
    return line if len(line) <= 140 else line[:137] + "..."


def pause(code: int | None, attempts: int) -> int | None:
    """Seconds until the next attempt; None to give up: an invalid request stays invalid."""
    hopeless = code is not None and 300 <= code < 500 and code not in LATER
    return None if hopeless else BACKOFF.pause(attempts)
