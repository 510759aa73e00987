"""Chooses the code of a release without code of its own (config change, add-on): the newest slug with a green verdict.

A failed or refused release may lack only a config var, so its code is a candidate. Decisions of users are kept: a
rollback, a dropped release, a pause of automatic deployment and a withdrawn verdict keep code from returning.
"""

from __future__ import annotations

from dataclasses import dataclass

from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.checks import actions as checks
from greenroom.checks import queries as check_queries
from greenroom.deliveries import queries, rules
from greenroom.deliveries.models import Delivery
from greenroom.dynos import queries as dynos
from greenroom.releases import queries as releases
from greenroom.releases.models import Release

LOOK = 50
"""Number of newest releases to search. The last successful one is found in any case."""


@dataclass(frozen=True)
class Kept:
    """The release whose slug is released again. serving: the live version with other code; None if nothing serves."""

    release: Release
    news: bool = False
    serving: int | None = None

    def describe(self, text: str) -> str:
        """The new release's description: ``Set FOO config vars; releases 575bfa81 of v3 (refused)``."""
        if not self.news or self.release.slug is None:
            return text
        state = "pending" if self.release.status == "pending" else self.release.status
        return f"{text}; releases {self.release.slug.commit[:8]} of v{self.release.version} ({state})"


def newest(app: App) -> Kept | None:
    """The newest release whose code may be released with other config vars; None if there is no code yet."""
    live = dynos.live(app)
    rows = releases.of_app(app).exclude(slug=None).exclude(status="expired")
    found = next((row for row in rows[:LOOK] if _may_be_released(app, row, live.release if live else None)), None)
    found = found or rows.filter(status="succeeded").first()
    if found is None:
        return None
    news = (live is not None and live.release.slug_id != found.slug_id) or (live is None and not served(found))
    return Kept(found, news=news, serving=live.release.version if live else None)


def served(row: Release) -> bool:
    """Whether the code of this release has ever been live."""
    return Release.objects.filter(app_id=row.app_id, slug=row.slug, status="succeeded").exists()


def unserved(row: Release) -> Release | None:
    """The failed or refused release whose code ``row`` releases again; None if its code has served, or is new."""
    earlier = Release.objects.filter(app_id=row.app_id, slug=row.slug, slug__isnull=False, version__lt=row.version)
    if earlier.filter(status="succeeded").exists():
        return None
    return earlier.filter(status__in=("failed", "refused")).order_by("-version").first()


def _may_be_released(app: App, row: Release, live: Release | None) -> bool:
    if row.status in ("pending", "succeeded"):
        return True
    if row.kind == "rollback":  # a rollback that never took effect does not count
        return False
    if served(row):
        return live is None or live.slug_id == row.slug_id
    return not _dropped_since(row) and not barred(app, row)


def _dropped_since(row: Release) -> bool:
    """Whether a user has dropped a later release of the same code. A superseded release does not count."""
    later = Release.objects.filter(app_id=row.app_id, slug=row.slug, version__gt=row.version, status="expired")
    return later.filter(reason__startswith=rules.DROPPED).exists()


def paused(app: App) -> bool:
    """Whether a user or a rollback has paused automatic deployment."""
    return rules.is_paused(app.deploy_paused, app.deploy_paused_until, clock.now())


def barred(app: App, row: Release) -> str:
    """Why code that never served may not be released now, as text; empty if it may."""
    assert row.slug is not None
    if paused(app):
        return rules.paused_text("automatic deployment is paused", app.deploy_paused, app.deploy_paused_until)
    origin = (
        Delivery.objects.filter(app=app, build__slug=row.slug, kind="push")
        .select_related("push")
        .order_by("-seq")
        .first()
    )
    if origin and origin.push and queries.was_rewritten(origin.push):
        return "the branch no longer contains this commit"
    if check_queries.newest_verdict(app, row.slug.commit) is None:  # promoted: judged in the source app
        return ""
    verdict = checks.judge(app=app, sha=row.slug.commit, required=queries.required_checks(app, row.slug))
    return "" if verdict.colour == "green" else f"its checks are {verdict.colour}: {'; '.join(verdict.reasons)}"
