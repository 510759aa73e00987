"""Warnings for a rollback across migrations, and whether it needs a confirmation.

A rollback does not change the database: older code runs on the schema of the newer migrations.
"""

from __future__ import annotations

from greenroom.app_migrations.queries import rehearsed_after
from greenroom.app_migrations.rules import rehearsal as rehearsal_rules
from greenroom.app_migrations.rules import rehearsal_text
from greenroom.releases.models import Release

SHOWN = 5


def looking_back(old: Release) -> str:
    """Known behaviour of the release's code on the current schema, for a rollback to it; empty if nothing is known."""
    row = rehearsed_after(old)
    return (
        rehearsal_text.going_back(
            old.version, row.number, row.document.get("cells") or {}, row.document.get("reverse") or {}
        )
        if row
        else ""
    )


def proven(old: Release, since: list[str]) -> bool:
    """Whether a rehearsal proved that this code works after all of these migrations."""
    row = rehearsed_after(old)
    if row is None or not set(since) <= set(row.pending):
        return False
    works = (row.document.get("cells") or {}).get("old_new", {}).get("state") == "ok"
    return works and not rehearsal_rules.breaks_old(map(rehearsal_rules.measured, row.document.get("migrations") or ()))


def told(old: Release, since: list[str]) -> str:
    """The migrations applied since, and how this code worked after them; empty if there were none."""
    if not since:
        return ""
    last = ("... " if len(since) > SHOWN else "") + ", ".join(since[-SHOWN:])
    count = "1 migration was" if len(since) == 1 else f"{len(since)} migrations were"
    verb = "is" if len(since) == 1 else "are"
    them = "it" if len(since) == 1 else "them"
    unknown = f"Whether v{old.version}'s code works after {them} is unknown: no rehearsal has tested it."
    known = looking_back(old) or unknown
    return f"{count} applied since v{old.version} and {verb} not undone by a rollback: {last}. {known}"
