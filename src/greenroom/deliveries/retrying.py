"""Releases the newest code anew, so that its release command is run once more: ``heroku releases:retry``."""

from __future__ import annotations

from django.db import transaction

from greenroom.accounts.rules import Actor
from greenroom.apps.models import App
from greenroom.basics.errors import UserError
from greenroom.deliveries.actions import open_for_release
from greenroom.releases import actions as releases
from greenroom.releases import commands
from greenroom.releases.models import Release


@transaction.atomic
def retry(*, actor: Actor, app: App, slug: str) -> Release:
    """A release like the newest one with code, which must be of this slug and have a release command. UserError for any other."""
    App.objects.select_for_update().get(pk=app.pk)
    newest = Release.objects.filter(app=app, slug__isnull=False).select_related("slug", "config").order_by("-version").first()
    if newest is None or str(newest.slug_id) != slug:
        raise UserError("Only the newest release can be tried again.", hint=f"heroku rollback vN -a {app.name} goes back to an earlier one")
    if not any(row.kind == "release" for row in commands.of_release(newest)):
        raise UserError(f"v{newest.version} has no release command that could be tried again.", hint="a line `release: COMMAND` in the Procfile makes one")
    text = f"Retry of v{newest.version}: {newest.description}"[:300]
    row = releases.release(actor=actor, app=app, kind="deploy", description=text, slug=newest.slug, config=newest.config)
    open_for_release(release=row)
    return row
