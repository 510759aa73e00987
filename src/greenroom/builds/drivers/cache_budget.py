"""Keeps the installers' caches within their budget: empties the largest ones of downloadable files, in a dyno with the
cache's own user.

Environments are copies, so no release depends on a cache; the next installation downloads what is missing.
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
from greenroom.engine import names
from greenroom.engine.contract import PLATFORM, DynoSpec, Engine, Limits, Mount

BUDGET_MB = 5000
SETTING = "GREENROOM_CACHE_MB"
EVERY = 3600.0
"""Seconds between two measurements: listing a large cache is slow."""
PREFIX = "janitor-"
COMMANDS = {
    "uv": ("/greenroom/uv", "cache", "clean", "--quiet"),
    "rest": (
        "/usr/bin/rm",
        "-rf",
        "--",
        *(f"{CACHE}/{name}" for name in ("pyc", "pipenv", "poetry", "hooks", "node", "apt")),
    ),
    "old": ("/usr/bin/find", CACHE, "-mindepth", "1", "-delete"),
}
"""uv locks its cache, so a concurrent installation waits; the other tools tolerate missing files."""
PARTS = ("uv", "rest")
MOST_NAMES = 2000
SHARED, OLD = "cache/wheels", "cache/uv"
"""The shared cache, and the one of earlier versions, no longer used for installations: other dynos than the platform's
own could write to it.
"""


@dataclass(frozen=True)
class Cache:
    """One cache. name: ``uv`` for the shared one, else an app's id. size: bytes."""

    name: str
    size: int

    @property
    def folder(self) -> str:
        """Path relative to home."""
        return {"uv": SHARED, "old": OLD}.get(self.name, f"cache/apps/{self.name}")

    @property
    def artefact(self) -> str:
        """Its name for the engine."""
        shared = {"uv": SHARED_CACHE, "old": names.cache(PLATFORM, "uv")}
        return shared.get(self.name) or names.cache(self.name, "build")


def budget() -> int:
    """Total bytes allowed for all caches: GREENROOM_CACHE_MB of the worker's environment, else 5000 MB."""
    text = os.environ.get(SETTING, "")
    return (int(text) if text.isdigit() else BUDGET_MB) * 10**6


def measure(home: Path) -> list[Cache]:
    """The existing caches, with their sizes on disk."""
    apps = home / "cache" / "apps"
    names = ["uv", *(sorted(path.name for path in apps.iterdir()) if apps.is_dir() else [])]
    return [Cache(name, _size(home / Cache(name, 0).folder)) for name in names]


def _size(top: Path) -> int:
    size = 0
    for folder, _, files in os.walk(top):
        for name in files:
            try:
                size += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except OSError:
                continue
    return size


def excess(caches: list[Cache], allowed: int) -> list[Cache]:
    """The caches to empty so that the rest fits the budget: the largest first, and no more than needed."""
    total, chosen = sum(cache.size for cache in caches), []
    for cache in sorted(caches, key=lambda cache: -cache.size):
        if total <= allowed:
            break
        chosen.append(cache)
        total -= cache.size
    return chosen


def prune_spec(*, cache: Cache, part: str, app: App | None, home: Path, moment: int | str) -> DynoSpec:
    """The dyno spec that empties one part of a cache."""
    return DynoSpec(
        id=f"{PREFIX}{cache.name}-{part}-{moment}",
        kind="janitor",
        owner=app.id.hex if app else PLATFORM,
        uid=app.number if app else PLATFORM_UID,
        process="janitor.1",
        command=COMMANDS[part],
        env={**INSTALLER_ENV, "UV_CACHE_DIR": f"{CACHE}/uv"},
        mounts=(Mount(target=CACHE, source=cache.artefact, mode="rw"), tools.uv_mount(home)),
        cwd="/",
        egress=False,
        limits=Limits(memory_mb=512, timeout=600.0),
    )


class Janitor:
    """Enforces the budget once an hour."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine, self.home, self.next = engine, home, 0.0

    def turn(self, now: float | None = None) -> list[Cache]:
        """Start emptying caches over the budget and return them. Also forgets ended dynos of earlier turns."""
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
        """Empty the cache of earlier versions; remove it when it is empty."""
        if (self.home / OLD).is_dir():
            try:
                (self.home / OLD).rmdir()
            except OSError:
                self.engine.start(
                    prune_spec(cache=Cache("old", 0), part="old", app=None, home=self.home, moment=moment)
                )


def drop(engine: Engine, home: Path, names: Iterable[str], moment: str) -> None:
    """Start removing packages from the shared cache, by their normalised names. The next installation downloads them
    again.
    """
    wanted = tuple(sorted(set(names)))[:MOST_NAMES]
    if wanted:
        spec = prune_spec(cache=Cache("uv", 0), part="uv", app=None, home=home, moment=moment)
        engine.start(replace(spec, id=f"{PREFIX}drop-{moment}", command=(*COMMANDS["uv"], *wanted)))


def of_app(app: App, home: Path) -> Cache:
    """The app's own cache: packages built from source, and downloads of pipenv and poetry. Size 0 if there is none."""
    return Cache(app.id.hex, _size(home / Cache(app.id.hex, 0).folder))


def empty(cache: Cache, engine: Engine, home: Path, moment: int) -> bool:
    """Start emptying a cache; False if its app no longer exists. moment: part of the dynos' ids, so that a second call
    starts none.
    """
    app = None if cache.name == "uv" else App.objects.filter(pk=cache.name).first()
    if cache.name != "uv" and app is None:
        return False
    for part in PARTS:
        engine.start(prune_spec(cache=cache, part=part, app=app, home=home, moment=moment))
    return True
