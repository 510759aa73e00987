"""Collects the evidence about a release that did not boot, and masks secrets in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from greenroom.addons.queries import environment
from greenroom.addons.rules.access import APP
from greenroom.app_migrations.models import Rehearsal
from greenroom.app_migrations.queries import of_release
from greenroom.apps.queries import hostnames
from greenroom.basics import clock
from greenroom.builds.rules import masked, visible_config
from greenroom.config_vars.queries import values
from greenroom.deliveries.rules.boot_failure import Finding, Seen, judge
from greenroom.dynos.models import Dyno
from greenroom.releases.models import Release

ENDING = timedelta(seconds=15)
"""Time to wait for a dyno that is stopping, since its last output is available only after its end."""


def of(release: Release, failure: str) -> Finding:
    """The diagnosis of the failure, before secrets are masked."""
    dyno, state = _failed_dyno(release), of_release(release)
    slug = release.slug
    rehearsal = Rehearsal.objects.filter(release=release, state="done").order_by("-number").first()
    return judge(
        Seen(
            app=release.app.name,
            failure=failure,
            output=dyno.last_words if dyno else "",
            command=(slug.process_types.get("web") or "") if slug else "",
            manager=str((slug.manifest if slug else {}).get("package_manager") or "pip"),
            host=hostnames(release.app)[0],
            about=state.about if state else {},
            lacking=state.lacking if state else (),
            cells=(rehearsal.document.get("cells") or {}) if rehearsal else {},
        )
    )


def hidden(found: Finding, release: Release, home: Path) -> Finding:
    """The finding with the values of secret config vars masked."""
    config, listed = values(release.config, home), visible_config.names(release.app.settings)
    seen = environment(config, app=release.app, home=home, access=APP)
    words = (*visible_config.hidden(config, listed), *visible_config.hidden(seen, listed))
    return replace(found, error=masked(found.error, words), lines=tuple(masked(line, words) for line in found.lines))


def is_ending(release: Release) -> bool:
    """Whether the failed web dyno is stopping."""
    dyno = _failed_dyno(release)
    return dyno is not None and dyno.state == "stopping" and clock.now() - dyno.updated_at < ENDING


def _failed_dyno(release: Release) -> Dyno | None:
    rows = Dyno.objects.filter(release=release, kind="web", state__in=("stopping", "ended"))
    return rows.order_by("-generation", "-created_at").first()
