"""Writes routes: the row first, then the files on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.db import transaction

from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.dynos import queries as dynos
from greenroom.releases.models import Release
from greenroom.router import queries
from greenroom.router.actions import sni_endpoints
from greenroom.router.drivers import caddy, switch
from greenroom.router.models import Route
from greenroom.router.rules import Target, target


def switch_to(*, app: App, release: Release | None, target: Target, home: Path) -> bool:
    """Route the app's requests to the target; True if it has changed. For the same target, only repairs the disk."""
    changed = _record(app, release, target)
    switch.apply(home, app.id.hex, target, app.name)
    return changed


def reroute(*, app: App, home: Path) -> bool:
    """Update the app's route from its rows; True if it has changed. A roll-out on trial gets the traffic."""
    live = dynos.watched(app) or dynos.live(app)
    return switch_to(
        app=app, release=live.release if live else None, target=target(queries.facts(app, live)), home=home
    )


@transaction.atomic
def _record(app: App, release: Release | None, target: Target) -> bool:
    row, _ = Route.objects.select_for_update(no_key=True).get_or_create(app=app)
    same = row.sockets == list(target.sockets) and row.page == target.page
    if same and row.release_id == (release.id if release else None):
        return False
    row.sockets, row.page, row.release = list(target.sockets), target.page, release
    row.generation += 1
    row.switched_at = clock.now()
    row.save()
    return not same


_led: dict[Path, tuple[float, list[dict[str, str]]]] = {}
_looked: dict[Path, float] = {}
LOOK = 5.0
"""Seconds between two checks of the disk, and of Caddy's private keys, which are lost when Caddy restarts."""


def lead_hosts(*, home: Path) -> bool:
    """Route each host name to its app; True if something has changed. Checks the disk after changes of rows, and
    periodically.
    """
    names, now = [queries.sites(), queries.certified()], clock.monotonic()
    moment, before = _led.get(home, (-LOOK, []))
    if names == before and now - moment < LOOK:
        return False
    changed = [
        switch.lead_hosts(home, found, folder)
        for found, folder in zip(names, (switch.HOSTS, switch.CERTIFIED), strict=True)
    ]
    _led[home] = (now, names)
    return any(changed)


def repair(*, app: App, target: Target, home: Path) -> None:
    """Restore the routes on disk from the rows."""
    switch.apply(home, app.id.hex, target, app.name)


def render(*, home: Path, installation: dict[str, Any]) -> bool:
    """Load the configuration into Caddy if it has changed; True if it was loaded."""
    rows = queries.served()
    served = [caddy.Served(queries.tag(row), hosts) for row, hosts in rows]
    wanted = caddy.render(installation, served)
    if wanted == caddy.current(home) and not _lost(home, {row.tag for row in served}):
        return False
    caddy.write_pages(home)
    caddy.load(home, wanted, [(queries.tag(row), row.chain, sni_endpoints.opened(row, home)) for row, _ in rows])
    return True


def _lost(home: Path, wanted: set[str]) -> bool:
    now = clock.monotonic()
    if not wanted or now - _looked.get(home, -LOOK) < LOOK:
        return False
    _looked[home] = now
    return not wanted <= caddy.tags(home)
