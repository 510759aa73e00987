"""Reads builds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from greenroom.apps.models import App
from greenroom.buildpacks.rules import buildpack_list
from greenroom.builds.drivers import cache_budget
from greenroom.builds.models import Build, BuildCache
from greenroom.builds.rules import dyno_ids


@dataclass(frozen=True)
class CacheSizes:
    """Bytes of an app's own cache, of the shared cache and of all caches, and the limit for all."""

    own: int
    shared: int
    all: int
    budget: int


def of_app(app: App) -> list[Build]:
    """The app's builds, newest first."""
    return list(Build.objects.filter(app=app).select_related("account", "slug").order_by("-created_at"))


def running_dynos() -> set[str]:
    """The engine ids of dynos of builds that have not ended. Any other ``build-...`` dyno is left over from a crash."""
    pending = Build.objects.filter(status="pending")
    return {name for build in pending for name in dyno_ids(build.id.hex, build.facts.get("lost", 0))}


def generation(app: App) -> int:
    """How often users have purged the app's cache."""
    return BuildCache.objects.filter(app=app).values_list("generation", flat=True).first() or 0


def buildpacks(app: App) -> list[str]:
    """The app's buildpacks in order: those that a user chose, else those of its last successful build."""
    if app.buildpacks is not None:
        return list(app.buildpacks)
    last = Build.objects.filter(app=app, status="succeeded").order_by("-created_at").first()
    return list((last.facts.get("buildpacks") if last else None) or [buildpack_list.PYTHON])


def cache_sizes(app: App, home: Path) -> CacheSizes:
    """The sizes of the caches on disk. Lists them, which takes a while if they are large."""
    sizes = {cache.name: cache.size for cache in cache_budget.measure(home)}
    return CacheSizes(sizes.get(app.id.hex, 0), sizes["uv"], sum(sizes.values()), cache_budget.budget())


def gathers(build: Build | None) -> bool:
    """Whether the build is still collecting the files of its commit, so that they cannot be scanned yet."""
    return build is not None and build.phase in ("prepare", "tree")
