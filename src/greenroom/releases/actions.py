"""Creates releases and records their results. The slug and config vars of a release never change."""

from __future__ import annotations

from collections.abc import Collection

from django.db import transaction
from django.db.models import Max

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.apps.actions import lock_app
from greenroom.apps.models import App
from greenroom.config_vars.models import ConfigVersion
from greenroom.releases.models import Release
from greenroom.slugs.models import Slug


@transaction.atomic
def release(
    *, actor: Actor, app: App, kind: str, description: str, slug: Slug | None, config: ConfigVersion
) -> Release:
    """Create the next release of the app. Without a slug it has nothing to start and succeeds immediately."""
    lock_app(app.pk)
    top = Release.objects.filter(app=app).aggregate(top=Max("version"))["top"] or 0
    row = Release.objects.create(
        app=app,
        version=top + 1,
        kind=kind,
        description=description[:300],
        slug=slug,
        config=config,
        account_id=actor.account_id,
        status="pending" if slug else "succeeded",
    )
    audit(
        actor=actor, action=f"release.{kind}", app=app, detail={"version": row.version, "description": row.description}
    )
    return row


def let_go(*, slugs: Collection[Slug]) -> int:
    """Mark old releases whose slug files were removed: they stay in the list, without code. Returns their number."""
    return Release.objects.filter(slug__in=[slug.pk for slug in slugs]).update(slug=None)


@transaction.atomic
def conclude(*, release: Release, status: str, reason: str = "") -> Release:
    """Record the result of a pending release: succeeded, failed, refused or expired. A second call changes nothing."""
    row = Release.objects.select_for_update(no_key=True).get(pk=release.pk)
    if row.status == "pending":
        row.status, row.reason = status, reason
        row.save(update_fields=["status", "reason", "updated_at"])
    release.status, release.reason = row.status, row.reason
    return row
