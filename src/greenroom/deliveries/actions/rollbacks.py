"""Rolls an app back: creates a release with the code and the config vars of an earlier one."""

from __future__ import annotations

from pathlib import Path

from django.db import transaction

from greenroom.accounts.rules import Actor
from greenroom.addons import queries as addons
from greenroom.app_migrations.actions.rollback_consent import agree
from greenroom.apps.actions import lock_app
from greenroom.apps.models import App
from greenroom.basics.errors import UserError
from greenroom.config_vars import actions as config_vars
from greenroom.config_vars import queries as config_queries
from greenroom.deliveries.actions import created, log_by, open_for_release
from greenroom.deliveries.queries import newest_green
from greenroom.dynos import queries as dynos
from greenroom.releases import actions as releases
from greenroom.releases import queries as release_queries
from greenroom.releases import rules as release_rules
from greenroom.releases.models import Release


def ask_to_roll_back(
    *, actor: Actor, app: App, home: Path, version: int | None, force: bool, confirmed: bool, mute: bool
) -> tuple[Release, str]:
    """Roll back unless migrations in between require a confirmation. Returns the new release and a warning.

    mute: the client has no option to confirm. Errors as ``agree`` and ``roll_back``.
    """
    live = dynos.live(app)
    old = rollback_target(app, version)
    warning = agree(
        actor=actor, old=old, live=live.release if live else None, confirmed=confirmed, forced=force, mute=mute
    )
    row, _ = roll_back(actor=actor, app=app, home=home, version=old.version, force=force)
    return row, warning


def rollback_target(app: App, version: int | None = None) -> Release:
    """The target of a rollback: the given version, else the last successful release before the current one. UserError
    if there is none.
    """
    current = release_queries.newest(app, "succeeded")
    kept = newest_green.newest(app)
    if current and kept and version == current.version and kept.release.slug_id != current.slug_id and current.slug_id:
        return current  # newer code failed: the user keeps the live release
    target = release_rules.rollback_target(
        release_queries.candidates(app), current.version if current else None, version
    )
    if isinstance(target, str):
        raise UserError(target, hint=f"greenroom releases -a {app.name}")
    return Release.objects.select_related("slug", "config", "app").get(app=app, version=target)


@transaction.atomic
def roll_back(
    *, actor: Actor, app: App, home: Path, version: int | None = None, force: bool = False
) -> tuple[Release, Release]:
    """Create a release with the slug and config vars of an earlier one. Returns both releases. Automatic deployment
    pauses until a user resumes it.

    force: also if the code needs columns that the database no longer has.

    Add-on URLs keep their current values: a rollback changes no database and must not point to a removed one.
    """
    lock_app(app.pk)  # first: keeps add-ons and config vars as read
    old = rollback_target(app, version)
    latest = config_queries.latest(app)
    now = config_queries.values(latest, home) if latest else {}
    keep = {key: now.get(key) for key in addons.owned(app)} | addons.values_of(app, home)
    config = config_vars.restore(actor=actor, app=app, home=home, version=old.config, keep=keep)
    row = releases.release(
        actor=actor, app=app, kind="rollback", description=f"Rollback to v{old.version}", slug=old.slug, config=config
    )
    open_for_release(release=row, forced=force)
    log_by(actor, app, home, row.description, created(row))
    return row, old
