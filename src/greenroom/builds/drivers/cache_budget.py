"""Keeps the installers' caches within their budget: the largest are emptied of what can be fetched again, by a dyno of
the cache's own user.

Environments are copies, so that no release needs anything of a cache; the next installation fetches what it lacks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from greenroom.apps.models import App
from greenroom.builds.drivers import tools
from greenroom.builds.drivers.dyno_specs import CACHE, INSTALLER_ENV, PLATFORM_UID, SHARED_CACHE
from greenroom.engine.contract import PLATFORM, DynoSpec, Engine, Limits, Mount

BUDGET_MB = 5000
SETTING = "GREENROOM_CACHE_MB"
EVERY = 3600.0
"""Seconds between two looks at the sizes: reading every name of a large cache takes a while."""
PREFIX = "janitor-"
COMMANDS = {
    "uv": ("/greenroom/uv", "cache", "clean", "--quiet"),
    "rest": ("/usr/bin/rm", "-rf", "--", *(f"{CACHE}/{name}" for name in ("pyc", "pipenv", "poetry", "hooks"))),
    "old": ("/usr/bin/find", CACHE, "-mindepth", "1", "-delete"),
}
"""uv locks its cache, so that an installation beside it waits; the others do without what vanishes."""
PARTS = ("uv", "rest")
MOST_NAMES = 2000
OLD = "cache/uv"
"""The shared cache of earlier releases, from which nothing is installed any more: more than the platform's own
installations could write to it.
"""


@dataclass(frozen=True)
class Cache:
    """One cache. name: ``uv`` for everybody's, else an app's id; size in bytes."""

    name: str
    size: int

    @property
    def folder(self) -> str:
        """Relative to home."""
        return {"uv": SHARED_CACHE, "old": OLD}.get(self.name, f"cache/apps/{self.name}")


def budget() -> int:
    """Bytes that all caches may take together: GREENROOM_CACHE_MB of the worker's environment, else 5000 MB."""
    text = os.environ.get(SETTING, "")
    return (int(text) if text.isdigit() else BUDGET_MB) * 10**6


def measure(home: Path) -> list[Cache]:
    """The caches that are there, with their sizes on disk."""
    apps = home / "cache" / "apps"
    names = ["uv", *(sorted(path.name for path in apps.iterdir()) if apps.is_dir() else [])]
    return [Cache(name, _size(home / Cache(name, 0).folder)) for name in names]


def _size(top: Path) -> int:
    size = 0
    for folder, _, names in os.walk(top):
        for name in names:
            try:
                size += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except OSError:
                continue
    return size


def excess(caches: list[Cache], allowed: int) -> list[Cache]:
    """Which caches have to be emptied so that the rest fits: the largest first, and no more than needed."""
    total, chosen = sum(cache.size for cache in caches), []
    for cache in sorted(caches, key=lambda cache: -cache.size):
        if total <= allowed:
            break
        chosen.append(cache)
        total -= cache.size
    return chosen


def prune_spec(*, cache: Cache, part: str, app: App | None, home: Path, moment: int | str) -> DynoSpec:
    """The dyno that empties one part of a cache."""
    return DynoSpec(
        id=f"{PREFIX}{cache.name}-{part}-{moment}",
        kind="janitor",
        owner=app.id.hex if app else PLATFORM,
        uid=app.number if app else PLATFORM_UID,
        process="janitor.1",
        command=COMMANDS[part],
        env={**INSTALLER_ENV, "UV_CACHE_DIR": f"{CACHE}/uv"},
        mounts=(Mount(target=CACHE, source=cache.folder, mode="rw"), tools.uv_mount(home)),
        cwd="/",
        egress=False,
        limits=Limits(memory_mb=512, timeout=600.0),
    )


class Janitor:
    """Looks once an hour, and starts what is needed."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine, self.home, self.next = engine, home, 0.0

    def turn(self, now: float | None = None) -> list[Cache]:
        """The caches whose emptying was begun; dynos of earlier turns that have ended are forgotten."""
        now = time.time() if now is None else now
        if now < self.next:
            return []
        self.next = now + EVERY
        for state in self.engine.list():
            if state.id.startswith(PREFIX) and state.ended:
                self.engine.forget(state.id)
        self._drop_old(int(now))
        return [
            cache for cache in excess(measure(self.home), budget()) if empty(cache, self.engine, self.home, int(now))
        ]

    def _drop_old(self, moment: int) -> None:
        """Empty the cache of earlier releases; once it is empty, remove it."""
        if (self.home / OLD).is_dir():
            try:
                (self.home / OLD).rmdir()
            except OSError:
                self.engine.start(
                    prune_spec(cache=Cache("old", 0), part="old", app=None, home=self.home, moment=moment)
                )


def drop(engine: Engine, home: Path, names: Iterable[str], moment: str) -> None:
    """Begin to remove packages from everybody's cache, by their normalised names; the next installation fetches them
    again.
    """
    wanted = tuple(sorted(set(names)))[:MOST_NAMES]
    if wanted:
        spec = prune_spec(cache=Cache("uv", 0), part="uv", app=None, home=home, moment=moment)
        engine.start(replace(spec, id=f"{PREFIX}drop-{moment}", command=(*COMMANDS["uv"], *wanted)))


def of_app(app: App, home: Path) -> Cache:
    """The app's own cache: what was built from sources for it, and what pipenv and poetry fetched. Size 0 when there is
    none.
    """
    return Cache(app.id.hex, _size(home / Cache(app.id.hex, 0).folder))


def empty(cache: Cache, engine: Engine, home: Path, moment: int) -> bool:
    """Begin to empty a cache; False for one whose app is gone. moment: part of the dynos' names, so that a second call
    starts nothing twice.
    """
    app = None if cache.name == "uv" else App.objects.filter(pk=cache.name).first()
    if cache.name != "uv" and app is None:
        return False
    for part in PARTS:
        engine.start(prune_spec(cache=cache, part=part, app=app, home=home, moment=moment))
    return True
