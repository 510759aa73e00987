"""Periodic maintenance: unsettled pushes, incomplete apps, cleanups, certificates, and the router's log."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

from greenroom.accounts.queries import actor_of
from greenroom.addons import registry
from greenroom.apps.actions.worker import wake
from greenroom.apps.models import App
from greenroom.apps.queries import is_gone
from greenroom.basics import clock
from greenroom.basics.guard import Guard
from greenroom.builds.drivers import leftovers
from greenroom.builds.drivers.cache_budget import Janitor
from greenroom.checks import steps as checks
from greenroom.deliveries import actions
from greenroom.deliveries.actions import addon_lifecycle as resources
from greenroom.deliveries.actions import app_lifecycle
from greenroom.deliveries.actions.retention import Collector
from greenroom.engine.contract import Engine
from greenroom.git.actions import reconcile
from greenroom.git.drivers import source_archives
from greenroom.logs.drivers.router_log import RouterLogTail
from greenroom.router.actions import sni_endpoints
from greenroom.router.drivers import switch

log = logging.getLogger(__name__)
ROUND = 30.0
"""Seconds between two searches for temporary add-ons of test runs whose app was destroyed."""


class Loop:
    """A slow loop that runs every few seconds. Each part is idempotent."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.home = home
        self.janitor = Janitor(engine, home)
        self.collector = Collector(engine, home)
        self.guard = Guard(log)
        self.looked = 0.0
        self.parts: list[Callable[[], None]] = [
            self._pushes,
            self._pauses,
            self._checks,
            self._builds,
            self._caches,
            self._old_code,
            self._new_apps,
            self._strays,
            self._addons,
            self._sweeps,
            self._doubles,
            self._certificates,
            self._uploads,
        ]
        self.sweeps = {
            f"{kind.service.kind} {name}": sweep
            for kind in registry.kinds()
            for name, sweep in kind.sweeps(home).items()
        }

    def turn(self) -> bool:
        """Reconcile refs with pushes, sweep add-ons, and complete interrupted creations of apps.

        An error in one part or for one app does not stop the others.
        """
        for part in self.parts:
            self.guard.run(part.__name__, f"maintenance, {part.__name__.strip('_')}", part)
        return False

    def _pushes(self) -> None:
        if reconcile(home=self.home):
            wake()

    def _pauses(self) -> None:
        for app in actions.end_pauses(home=self.home):
            log.info("the pause of %s has ended", app.name)

    def _checks(self) -> None:
        checks.sweep(engine=self.engine)

    def _builds(self) -> None:
        for name in leftovers.sweep(engine=self.engine, home=self.home):
            log.info("removed %s, a leftover of a build", name)

    def _caches(self) -> None:
        for cache in self.janitor.turn():
            log.info("emptying %s, which uses %d MB", cache.folder, cache.size / 10**6)

    def _old_code(self) -> None:
        for name in self.collector.turn():
            log.info("removed unused %s", name)

    def _new_apps(self) -> None:
        """Complete apps whose creation was interrupted: those with only their first release."""
        begun = App.objects.filter(releases__isnull=False).exclude(releases__version__gt=1).select_related("owner")
        for app in begun.distinct():
            step = partial(app_lifecycle.finish, actor=actor_of(app.owner), app=app, home=self.home)
            self.guard.run(app.pk, f"incomplete app {app.name}", step, partial(is_gone, app))

    def _strays(self) -> None:
        for name in app_lifecycle.sweep_dynos(self.engine):
            log.info("ended %s of a deleted app", name)

    def _addons(self) -> None:
        resources.heal(home=self.home)

    def _sweeps(self) -> None:
        for name, sweep in self.sweeps.items():
            self.guard.run(name, f"maintenance, {name}", sweep)

    def _doubles(self) -> None:
        if clock.monotonic() - self.looked > ROUND:
            self.looked = clock.monotonic()
            for name in checks.sweep_forsaken():
                log.info("dropped %s, the temporary add-on of a deleted app", name)

    def _certificates(self) -> None:
        for app in sni_endpoints.renewable():
            step = partial(sni_endpoints.renew, app=app, home=self.home)
            self.guard.run(("certificate", app.pk), f"the certificate of {app.name}", step, partial(is_gone, app))

    def _uploads(self) -> None:
        source_archives.sweep(self.home)


def router_log(home: Path) -> Callable[[], bool]:
    """A turn that copies new lines of the router's access log to the apps' logs."""

    def folder_of(host: str) -> str | None:
        folder = switch.folder_of(home, host.partition(":")[0])
        app = App.objects.filter(pk=uuid.UUID(folder)).first() if folder else None
        return app.log_folder if app else None

    tail = RouterLogTail(home, folder_of)
    return tail.turn
