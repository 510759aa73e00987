"""What somebody who rolls back across migrations reads first, and whether they have to say once more that they mean it.

The database is not changed by a rollback: older code meets the schema that newer code's migrations have left.
"""

from __future__ import annotations

from greenroom.app_migrations.queries import rehearsed_after
from greenroom.app_migrations.rules import rehearsal as rehearsal_rules
from greenroom.app_migrations.rules import rehearsal_text
from greenroom.releases.models import Release

SHOWN = 5


def looking_back(old: Release) -> str:
    """What is known of the release's code on today's schema, for somebody who rolls back to it; empty when nothing
    is.
    """
    row = rehearsed_after(old)
    return (
        rehearsal_text.going_back(
            old.version, row.number, row.document.get("cells") or {}, row.document.get("reverse") or {}
        )
        if row
        else ""
    )


def proven(old: Release, since: list[str]) -> bool:
    """Whether a rehearsal saw this very code work after all of these migrations."""
    row = rehearsed_after(old)
    if row is None or not set(since) <= set(row.pending):
        return False
    works = (row.document.get("cells") or {}).get("old_new", {}).get("state") == "ok"
    return works and not rehearsal_rules.breaks_old(map(rehearsal_rules.measured, row.document.get("migrations") or ()))


def told(old: Release, since: list[str]) -> str:
    """What was applied since, and how this code did after it; empty when nothing was."""
    if not since:
        return ""
    last = ("... " if len(since) > SHOWN else "") + ", ".join(since[-SHOWN:])
    count = "1 migration was" if len(since) == 1 else f"{len(since)} migrations were"
    verb = "is" if len(since) == 1 else "are"
    them = "it" if len(since) == 1 else "them"
    unknown = f"How v{old.version}'s code does after {them} is not known: no rehearsal has tried it."
    known = looking_back(old) or unknown
    return f"{count} applied since v{old.version} and {verb} not undone by a rollback: {last}. {known}"
