"""What has to be looked after now and then: pushes that moved without an answer, apps half made, the router's log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from greenroom.accounts.queries import actor_of
from greenroom.addons.postgres import restores, snapshots
from greenroom.apps.models import App
from greenroom.basics.errors import GreenroomError
from greenroom.builds import collection
from greenroom.builds.janitor import Janitor
from greenroom.checks import actions as checks
from greenroom.deliveries import actions, lifecycle
from greenroom.deliveries.retention import Collector
from greenroom.engine.contract import Engine
from greenroom.entrypoints.api import resources
from greenroom.git import uploads
from greenroom.git.actions import reconcile
from greenroom.logs.router_lines import RouterLogTail
from greenroom.releases.models import Release
from greenroom.router import endpoints

log = logging.getLogger(__name__)


class Maintenance:
    """One slow turn: every few seconds, each part repeatable."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.home = home
        self.janitor = Janitor(engine, home)
        self.collector = Collector(engine, home)

    def turn(self) -> bool:
        """Reconcile refs with pushes, sweep snapshots and databases, and finish apps whose making was interrupted."""
        if reconcile(home=self.home):
            actions.wake()
        for app in actions.end_pauses(home=self.home):
            log.info("the pause of %s is over", app.name)
        checks.sweep(engine=self.engine)
        for name in collection.sweep(engine=self.engine, home=self.home):
            log.info("removed %s, which a build had left behind", name)
        for cache in self.janitor.turn():
            log.info("%s takes %d MB and is emptied", cache.folder, cache.size / 10**6)
        for name in self.collector.turn():
            log.info("removed %s, which nothing needs any more", name)
        for app in App.objects.filter(releases__isnull=False).select_related("owner").distinct():
            if not Release.objects.filter(app=app, version__gt=1).exists():
                self._finish(app)
        for name in lifecycle.sweep_dynos(self.engine):
            log.info("ended %s, whose app is gone", name)
        resources.heal(home=self.home)
        snapshots.sweep(home=self.home)
        restores.sweep()
        endpoints.renew_all(home=self.home)
        uploads.sweep(self.home)
        return False

    def _finish(self, app: App) -> None:
        try:
            lifecycle.finish(actor=actor_of(app.owner), app=app, home=self.home)
        except GreenroomError as error:
            log.warning("app %s is not whole yet: %s", app.name, error)


def router_log(home: Path) -> Callable[[], bool]:
    """A turn that copies new lines of the router's access log into the logs of their apps."""

    def folder_of(host: str) -> str | None:
        name = host.partition(":")[0].lower()
        if name.endswith(".localhost"):
            app = App.objects.filter(name=name.removesuffix(".localhost")).first()
        else:
            app = App.objects.filter(domains__hostname=name).first()
        return app.log_folder if app else None

    tail = RouterLogTail(home, folder_of)
    return tail.turn
