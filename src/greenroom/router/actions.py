"""Writes routes: the row first, then what is on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.db import transaction

from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.releases.models import Release
from greenroom.router import caddy, endpoints, queries, switch
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


_looked: dict[Path, float] = {}
LOOK = 5.0
"""Seconds between two questions whether Caddy still has the keys, which a start of its own loses."""


def render(*, home: Path, installation: dict[str, Any]) -> bool:
    """Give Caddy the configuration of all apps if it differs from what it has; True when it was loaded."""
    rows = queries.served()
    served = [caddy.Served(queries.tag(row), hosts) for row, hosts in rows]
    wanted = caddy.render(queries.sites(), installation, served)
    if wanted == caddy.current(home) and not _lost(home, {row.tag for row in served}):
        return False
    caddy.write_pages(home)
    caddy.load(home, wanted, [(queries.tag(row), row.chain, endpoints.opened(row, home)) for row, _ in rows])
    return True


def _lost(home: Path, wanted: set[str]) -> bool:
    now = clock.monotonic()
    if not wanted or now - _looked.get(home, -LOOK) < LOOK:
        return False
    _looked[home] = now
    return not wanted <= caddy.tags(home)
