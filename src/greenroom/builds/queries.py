"""Reads builds."""

from __future__ import annotations

from greenroom.apps.models import App
from greenroom.builds.models import Build, BuildCache
from greenroom.builds.rules import dyno_ids


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
