"""Retention of build artefacts: keeps the files of each app's newest releases and removes the rest, rows first.

Removes files without a row, so after a crash between the two the next turn continues.
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
from greenroom.engine import names
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
"""Seconds to keep a slug that no kept release uses: for a re-run of the gate or a rollback."""
UNUSED = 3600.0
"""Seconds after which a folder without a row counts as a leftover. A build needs less than half of it from finding the
folder to writing its row.
"""
EVERY = 3600.0


def keep_releases() -> int:
    """Number of releases per app that keep their code: GREENROOM_KEEP_RELEASES of the worker's environment, default 50,
    minimum 2.
    """
    text = os.environ.get(SETTING, "")
    return max(2, int(text)) if text.isdigit() else KEEP_RELEASES


class Collector:
    """Removes unused files once an hour."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine, self.home, self.next = engine, home, 0.0
        self.guard = Guard(logger)

    def turn(self, now: float | None = None) -> list[str]:
        """Remove unused files if an hour has passed. Returns their paths relative to home."""
        now = time.time() if now is None else now
        if now < self.next:
            return []
        self.next = now + EVERY
        for app in App.objects.all():
            self.guard.run(app.pk, f"the old code of {app.name}", partial(forget_old, app=app, now=now))
        return collect(engine=self.engine, home=self.home, now=now)


def kept_releases(app: App) -> set[UUID]:
    """Primary keys of the releases that keep their code: the newest, the newest successful ones, and those that run or
    may run.
    """
    rows, count = Release.objects.filter(app=app).order_by("-version").values_list("pk", flat=True), keep_releases()
    good = rows.filter(status__in=("pending", "succeeded"), slug__isnull=False)
    wanted = Rollout.objects.filter(app=app, state__in=("candidate", "watched", "live", "held")).values_list(
        "release_id", flat=True
    )
    running = Dyno.objects.filter(app=app, state__in=ALIVE).values_list("release_id", flat=True)
    return {*rows[:count], *good[:count], *wanted, *running}


def forgettable(app: App, now: float) -> list[Slug]:
    """Slugs older than a week that no kept release and no open delivery uses, except the newest. Empty while the app
    builds.
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
    """Delete the rows of forgettable slugs and return their number. A withheld commit is rebuilt if its delivery is
    reopened.
    """
    lock_apps([app.pk])  # serialises with a rollback, and with an override of a withheld commit
    old = forgettable(app, now)
    if old:
        releases.let_go(slugs=old)
        Delivery.objects.filter(build__slug__in=[slug.pk for slug in old]).update(build=None)
        slugs.forget(old)
    return len(old)


def collect(*, engine: Engine, home: Path, now: float) -> list[str]:
    """Remove slugs, environments and caches that have no row and were unused for an hour. Returns their paths relative
    to home.
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
            engine.discard(_artefact(folder))
    except (EngineError, OSError) as error:
        logger.warning("%s cannot be removed: %s", folder, error)
        return False
    return True


def _artefact(folder: str) -> str:
    """The engine's name of a folder that no row names."""
    above, _, key = folder.rpartition("/")
    make = {"slugs": names.slug, "envs": names.environment}.get(above) or (lambda app: names.cache(app, "build"))
    return make(key)


def _used_at(home: Path, folder: str) -> float:
    """When the folder was created or last used, in seconds since the epoch. For an environment, a file beside it
    records the last use.
    """
    stamps = []
    for path in (home / folder, home / f"{folder}.json"):
        try:
            stamps.append(path.lstat().st_mtime)
        except FileNotFoundError:
            continue
    return max(stamps, default=0.0)


def _names_of_nobody(folder: Path) -> list[str]:
    """Names of entries in a per-app folder whose app no longer exists."""
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
