"""Reads the effect of rehearsals on a release in a delivery, and the forecast of its pending migrations."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from greenroom.addons.queries import database_of
from greenroom.app_migrations import frameworks
from greenroom.app_migrations.models import MigrationRun, MigrationState, Rehearsal
from greenroom.app_migrations.queries import framework, known_state, rehearsal_of
from greenroom.app_migrations.rules import rehearsal, rehearsal_policy
from greenroom.app_migrations.rules.forecast import Forecast, forecasts
from greenroom.app_migrations.rules.rehearsal_policy import Outlook
from greenroom.basics import clock
from greenroom.checks.models import Override
from greenroom.checks.rules import REHEARSAL, key
from greenroom.releases.models import Release


def before(release: Release) -> Release | None:
    """The newest earlier successful release with other code: the live one, or the target of a rollback."""
    rows = Release.objects.filter(
        app_id=release.app_id, version__lt=release.version, status="succeeded", slug__isnull=False
    )
    return rows.exclude(slug=release.slug).select_related("slug", "config", "app").order_by("-version").first()


def required(release: Release) -> bool:
    """Whether the app, or greenroom.toml of the commit, names the rehearsal among the required checks."""
    own = (release.slug.settings.get("required_checks") or []) if release.slug else []
    return rehearsal_policy.is_required([*release.app.required_checks, *own])


def mode(release: Release) -> str:
    """The app's rehearsal mode: off, beside or before-switch."""
    settings = release.slug.settings if release.slug else {}
    return rehearsal_policy.mode(settings.get("policy") or {}, required=required(release))


def overridden(release: Release, *, since: datetime | None = None) -> bool:
    """Whether a user overrode the rehearsal for this commit, at any time or since then."""
    sha = release.slug.commit if release.slug else ""
    found = Override.objects.filter(app_id=release.app_id, sha=sha)
    rows = (found.filter(created_at__gt=since) if since else found).values_list("checks", flat=True)
    return any(key(name) == REHEARSAL for names in rows for name in names)


def can_rehearse(release: Release) -> bool:
    """Whether the release's framework has the programs for a rehearsal."""
    name = framework(release)
    return bool(name) and frameworks.find(name).rehearsal is not None


def outlook(release: Release) -> Outlook:
    """The effect of the present plan's rehearsal on the release's delivery."""
    state = known_state(release)
    if state is None or not state.pending or mode(release) != rehearsal_policy.BEFORE or overridden(release):
        return Outlook()
    row = Rehearsal.objects.filter(release=release, pending=state.pending).order_by("-number").first()
    possible = can_rehearse(release) and before(release) is not None and database_of(release.app) is not None
    return rehearsal_policy.outlook(
        required=required(release),
        possible=possible,
        state=row.state if row else "",
        colour=row.colour if row else "",
        age=(clock.now() - row.created_at).total_seconds() if row else 0.0,
        cells=row.document.get("cells") or {} if row else {},
        failure=row.failure if row else "",
    )


def foreseen(state: MigrationState | None) -> list[Forecast]:
    """The forecast of the pending migrations on present data, with measured seconds if there was a rehearsal."""
    if state is None or not state.pending:
        return []
    row = rehearsal_of(state.release)
    return forecasts(
        state.plan,
        state.rows,
        [rehearsal.measured(one) for one in (row.document.get("migrations") or ())] if row else (),
    )


def beside(run: MigrationRun) -> list[dict[str, Any]]:
    """Each migration that a user's run applied: {name, seconds, locks} as observed, with the rehearsal's
    measurements.
    """
    row = run.rehearsal
    measured = {str(one.get("name")): one for one in (row.document.get("migrations") or ())} if row else {}
    found = []
    for one in run.actual.get("migrations") or ():
        tried = measured.get(one["name"])
        rehearsed = {"seconds": tried.get("seconds"), "locks": (tried.get("locks") or [])[:10]} if tried else None
        found.append({**one, "rehearsed": rehearsed})
    return found
