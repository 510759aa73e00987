"""What is kept of what was built, and for how long: the files of each app's newest releases. The rest goes, rows first.

Files are found by what no row names, so that a crash between the two costs nothing: the next turn goes on.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from greenroom.apps.actions import lock_apps
from greenroom.apps.models import App
from greenroom.basics.guard import Guard
from greenroom.builds.models import Build
from greenroom.deliveries.models import Delivery
from greenroom.dynos.models import Dyno, Rollout
from greenroom.dynos.queries import ALIVE
from greenroom.engine.contract import Engine
from greenroom.engine.errors import EngineError
from greenroom.releases import actions as releases
from greenroom.releases.models import Release
from greenroom.slugs import actions as slugs
from greenroom.slugs import queries
from greenroom.slugs.drivers import store
from greenroom.slugs.models import Slug

logger = logging.getLogger(__name__)
KEEP_RELEASES = 50
SETTING = "GREENROOM_KEEP_RELEASES"
WEEK = 7 * 86400.0
"""Seconds for which a slug is kept that no kept release has: the gate may be asked again, a rollback may be wanted."""
UNUSED = 3600.0
"""Seconds after which a folder that no row names counts as left behind; no build takes half as long from finding it to
its row.
"""
EVERY = 3600.0


def keep_releases() -> int:
    """Releases of each app that keep their code: GREENROOM_KEEP_RELEASES of the worker's environment, else 50; 2 at
    least.
    """
    text = os.environ.get(SETTING, "")
    return max(2, int(text)) if text.isdigit() else KEEP_RELEASES


class Collector:
    """Looks once an hour."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine, self.home, self.next = engine, home, 0.0
        self.guard = Guard(logger)

    def turn(self, now: float | None = None) -> list[str]:
        """What was thrown away, relative to home."""
        now = time.time() if now is None else now
        if now < self.next:
            return []
        self.next = now + EVERY
        for app in App.objects.all():
            self.guard.run(app.pk, f"the old code of {app.name}", partial(forget_old, app=app, now=now))
        return collect(engine=self.engine, home=self.home, now=now)


def kept_releases(app: App) -> set[UUID]:
    """Primary keys of the releases that keep their code: the newest, the newest good ones, and whatever runs or may
    run.
    """
    rows, count = Release.objects.filter(app=app).order_by("-version").values_list("pk", flat=True), keep_releases()
    good = rows.filter(status__in=("pending", "succeeded"), slug__isnull=False)
    wanted = Rollout.objects.filter(app=app, state__in=("candidate", "watched", "live", "held")).values_list(
        "release_id", flat=True
    )
    running = Dyno.objects.filter(app=app, state__in=ALIVE).values_list("release_id", flat=True)
    return {*rows[:count], *good[:count], *wanted, *running}


def forgettable(app: App, now: float) -> list[Slug]:
    """Slugs older than a week that no kept release has, no delivery on its way, and that are not the newest. None while
    the app builds.
    """
    if Build.objects.filter(app=app, status="pending").exists():
        return []
    rows = Slug.objects.filter(app=app)
    newest = rows.order_by("-created_at").values_list("pk", flat=True).first()
    on_its_way = Q(builds__deliveries__finished_at=None, builds__deliveries__isnull=False)
    needed = rows.filter(Q(pk=newest) | Q(releases__in=kept_releases(app)) | on_its_way).values_list("pk", flat=True)
    return list(rows.filter(created_at__lt=datetime.fromtimestamp(now - WEEK, UTC)).exclude(pk__in=list(needed)))


@transaction.atomic
def forget_old(*, app: App, now: float) -> int:
    """Take away the rows of slugs that need not be kept; a withheld commit is built anew if its delivery is opened
    again. How many there were.
    """
    lock_apps(
        [app.pk]
    )  # nobody releases old code again, or lets a withheld commit through, between the question and the deed
    old = forgettable(app, now)
    if old:
        releases.let_go(slugs=old)
        Delivery.objects.filter(build__slug__in=[slug.pk for slug in old]).update(build=None)
        slugs.forget(old)
    return len(old)


def collect(*, engine: Engine, home: Path, now: float) -> list[str]:
    """Throw away slugs, environments and caches that no row names and nobody has used for an hour; their names,
    relative to home.
    """
    removed = []
    for folder in [*queries.collectable(home), *_caches_of_nobody(home)]:
        with store.IN_USE:
            if now - _used_at(home, folder) < UNUSED or not _thrown_away(home, folder, engine):
                continue
        (home / f"{folder}.json").unlink(missing_ok=True)
        removed.append(folder)
    return removed + _locks_of_nobody(home)


def _thrown_away(home: Path, folder: str, engine: Engine) -> bool:
    try:
        if (home / folder).is_file():
            (home / folder).unlink()
        else:
            engine.discard(folder)
    except (EngineError, OSError) as error:
        logger.warning("%s cannot be removed: %s", folder, error)
        return False
    return True


def _used_at(home: Path, folder: str) -> float:
    """When the folder was made or last found useful, in seconds since the epoch; an environment's file beside it says
    that.
    """
    stamps = []
    for path in (home / folder, home / f"{folder}.json"):
        try:
            stamps.append(path.lstat().st_mtime)
        except FileNotFoundError:
            continue
    return max(stamps, default=0.0)


def _names_of_nobody(folder: Path) -> list[str]:
    """Names in a folder with one entry for each app, of apps that are gone."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    known = {pk.hex for pk in App.objects.values_list("pk", flat=True)}
    return [name for name in names if name not in known]


def _caches_of_nobody(home: Path) -> list[str]:
    return [f"cache/apps/{name}" for name in _names_of_nobody(home / "cache" / "apps")]


def _locks_of_nobody(home: Path) -> list[str]:
    found = [f"cache/locks/{name}" for name in _names_of_nobody(home / "cache" / "locks")]
    for name in found:
        shutil.rmtree(home / name, ignore_errors=True)
    return found
