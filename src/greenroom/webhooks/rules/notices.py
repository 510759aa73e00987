"""The events that people are told of: their names, which of them a notification has, and their text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

EVENTS = {
    "opened": "a delivery has begun",
    "withheld": "a commit was built and is not deployed: a check failed, or deployments are paused",
    "held": "a release waits for its migrations",
    "live": "a release went live",
    "failed": "a delivery failed",
    "refused": "a release was refused, such as for a missing config var",
    "superseded": "a newer delivery took the place of one that had not gone live",
    "crashed": "a dyno crashed three times in succession",
    "certificate": "a certificate is about to end",
    "limit": "a database or a volume reached its limit, came near it, or has room again",
    "disk": "the disk of the installation is low (administrators)",
    "backup": "a backup of the installation failed (administrators)",
}
"""name -> what happened."""
INSTALLATION = ("disk", "backup")
"""Events that belong to no app."""
USUAL = ("withheld", "held", "live", "failed", "refused", "crashed", "certificate", "limit", *INSTALLATION)
"""What a notification has unless it is told otherwise: everything but the steps on the way."""
DELIVERIES = ("opened", "withheld", "held", "live", "failed", "refused", "superseded")
LONGEST = 1000
"""Characters of a reason."""
SHOWN = 3
"""Migrations that are named."""


def chosen(wanted: Sequence[str]) -> list[str]:
    """The events in their order; the usual ones if ``wanted`` is empty. ValueError lists the valid names."""
    names = [name.strip().lower() for name in wanted]
    if names == ["all"]:
        names = list(EVENTS)
    for name in names:
        if name not in EVENTS:
            raise ValueError(f"events has {name[:60]!r}; allowed are all, {', '.join(EVENTS)}")
    return [name for name in EVENTS if name in (names or USUAL)]


def event_of(state: str, *, released: bool) -> str:
    """The event of a delivery that has reached a state; empty for the steps between. released: it has a release."""
    if state == "received":
        return "opened"
    if state == "refused":
        return "refused" if released else "withheld"
    return state if state in ("held", "live", "failed", "superseded") else ""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """An event for people.

    app: name, empty for the installation; what: one sentence; who: who caused it; why: the reason, empty if there is
    none; keeps: what goes on running; turn: whose turn it is; command: what they enter; url: where they see it.
    """

    event: str
    app: str
    what: str
    who: str = ""
    why: str = ""
    keeps: str = ""
    turn: str = ""
    command: str = ""
    url: str = ""

    @property
    def subject(self) -> str:
        """One line, such as ``[shop] 1a2b3c4d is withheld``."""
        return f"[{self.app or 'Greenroom'}] {self.what.rstrip('.')}"

    @property
    def text(self) -> str:
        """All of it, in short paragraphs of plain text."""
        now = f"It is the turn of {self.turn}:" if self.turn else "Next:"
        parts = [
            f"{self.what} {self.who}".strip(),
            self.why[:LONGEST],
            self.keeps,
            f"{now}\n    {self.command}" if self.command else "",
            self.url,
        ]
        return "\n\n".join(part for part in parts if part)


def delivery_notice(
    event: str, *, app: str, subject: str, by: str, reason: str, serving: str, command: str, url: str
) -> Notice:
    """The notice of a delivery.

    subject: ``v12 (1a2b3c4d)`` or the commit; by: who pushed or caused it, empty for the platform; serving: the version
    that has the traffic, empty for none; command: what continues it, empty for nothing.
    """
    verbs = {
        "opened": "is being delivered",
        "withheld": "is withheld",
        "held": "is held for its migrations",
        "live": "is live",
        "failed": "failed",
        "refused": "was refused",
        "superseded": "was superseded",
    }
    keeps = f"{serving} keeps running." if serving else "Nothing of this app runs yet."
    waits = event in ("withheld", "held", "live", "failed", "refused")
    return Notice(
        event=event,
        app=app,
        what=f"{subject} {verbs[event]}.",
        who=f"By {by}." if by else "",
        why=reason,
        keeps="" if event == "live" else keeps,
        turn=(by or "an operator") if waits and command else "",
        command=command if waits else "",
        url=url,
    )


def pending_text(pending: Sequence[str]) -> str:
    """``3 migrations are pending: shop.0002_a, shop.0003_b and 1 more.``; empty for none."""
    if not pending:
        return ""
    shown, more = pending[:SHOWN], len(pending) - SHOWN
    names = f"{', '.join(shown)} and {more} more" if more > 0 else ", ".join(shown)
    return f"{len(pending)} migration{'s are' if len(pending) > 1 else ' is'} pending: {names}."
