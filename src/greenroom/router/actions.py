"""Writes routes: the row first, then what is on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.db import transaction

from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.releases.models import Release
from greenroom.router import caddy, queries, switch
from greenroom.router.models import Route
from greenroom.router.rules import Target


def switch_to(*, app: App, release: Release | None, target: Target, home: Path) -> bool:
    """Lead the app's requests to the target; True when that was a change. Same target: the disk is repaired, nothing else."""
    changed = _record(app, release, target)
    switch.apply(home, app.id.hex, target, app.name)
    return changed


@transaction.atomic
def _record(app: App, release: Release | None, target: Target) -> bool:
    row, _ = Route.objects.select_for_update().get_or_create(app=app)
    same = row.sockets == list(target.sockets) and row.page == target.page
    if same and row.release_id == (release.id if release else None):
        return False
    row.sockets, row.page, row.release = list(target.sockets), target.page, release
    row.generation += 1
    row.switched_at = clock.now()
    row.save()
    return not same


def render(*, home: Path, installation: dict[str, Any]) -> bool:
    """Give Caddy the configuration of all apps if it differs from what it has; True when it was loaded."""
    wanted = caddy.render(queries.sites(), installation)
    if wanted == caddy.current(home):
        return False
    caddy.write_pages(home)
    caddy.load(home, wanted)
    return True
