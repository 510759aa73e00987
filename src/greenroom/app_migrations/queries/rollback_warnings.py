"""What somebody who rolls back across migrations reads first, and whether they have to say once more that they mean it.

The database is not changed by a rollback: older code meets the schema that newer code's migrations have left.
"""

from __future__ import annotations

from datetime import timedelta

from greenroom.accounts.actions import audit
from greenroom.accounts.models import AuditEntry
from greenroom.accounts.rules import Actor
from greenroom.app_migrations import rules
from greenroom.app_migrations.queries import applied_since, rehearsed_after
from greenroom.app_migrations.rules import rehearsal as rehearsal_rules
from greenroom.app_migrations.rules import rehearsal_text
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError
from greenroom.releases.models import Release

ASKED = "rollback_across_migrations"
"""The id of the error that the app's name overcomes, unless the app's policy is to refuse."""
AGAIN = timedelta(minutes=5)
"""The same command once more within this time is a yes: the Heroku CLI knows no other way."""
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


def agree(
    *, actor: Actor, old: Release, live: Release | None, confirmed: bool, forced: bool, mute: bool = False
) -> str:
    """What is told beside a rollback to ``old``; empty when it crosses no migration. mute: the client has no option to
    confirm with.

    ConflictError when the app's policy (greenroom.toml of the live release) wants it confirmed, or refuses it. That it
    was asked stands in the audit log.
    """
    since = applied_since(old)
    said = told(old, since)
    if not said:
        return ""
    settings = live.slug.settings if live and live.slug else {}
    agreed = confirmed or _asked_before(actor, old)
    stop = rules.stops_rollback(settings.get("policy") or {}, proven=proven(old, since), agreed=agreed, forced=forced)
    if not stop:
        return said
    command = f"greenroom rollback v{old.version} -a {old.app.name}"
    audit(actor=actor, action=f"rollback.{stop}", app=old.app, detail={"to": old.version, "migrations": since[-50:]})
    if stop == rules.REFUSE:
        raise ConflictError(
            f"{said} greenroom.toml of this app refuses such rollbacks.",
            hint=f"migrate back first, or: {command} --force",
        )
    again = f"the same command again within {int(AGAIN.total_seconds() // 60)} minutes"
    raise ConflictError(
        said, id=ASKED, hint=f"run {again}" if mute else f"{command} --confirm {old.app.name}   (or {again})"
    )


def _asked_before(actor: Actor, old: Release) -> bool:
    """Whether this person was asked about this very rollback a moment ago."""
    rows = AuditEntry.objects.filter(
        app_id=old.app_id, actor=actor.email, action=f"rollback.{rules.ASK}", at__gt=clock.now() - AGAIN
    )
    return any(row.detail.get("to") == old.version for row in rows)
