"""Requires confirmation of a rollback across migrations, and records the request."""

from __future__ import annotations

from datetime import timedelta

from greenroom.accounts.actions import audit
from greenroom.accounts.models import AuditEntry
from greenroom.accounts.rules import Actor
from greenroom.app_migrations import rules
from greenroom.app_migrations.queries import applied_since
from greenroom.app_migrations.queries.rollback_warnings import proven, told
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError
from greenroom.releases.models import Release

ASKED = "rollback_across_migrations"
"""Error id that the app's name overrides, unless the app's policy is to refuse."""
AGAIN = timedelta(minutes=5)
"""Repeating the command within this time confirms it: the Heroku CLI has no option for it."""


def agree(
    *, actor: Actor, old: Release, live: Release | None, confirmed: bool, forced: bool, mute: bool = False
) -> str:
    """The warnings for a rollback to ``old``; empty if it crosses no migration. mute: the client has no option to
    confirm.

    ConflictError if the app's policy (greenroom.toml of the live release) requires a confirmation or refuses. The
    request is recorded in the audit log.
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
    """Whether this user has recently been asked to confirm this rollback."""
    rows = AuditEntry.objects.filter(
        app_id=old.app_id, actor=actor.email, action=f"rollback.{rules.ASK}", at__gt=clock.now() - AGAIN
    )
    return any(row.detail.get("to") == old.version for row in rows)
