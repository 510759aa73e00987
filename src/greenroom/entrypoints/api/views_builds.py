"""The API of builds and slugs: list, show and cancel builds; an app's build cache; the contents of a slug."""

from __future__ import annotations

from typing import Any

from greenroom.basics.errors import NotFoundError
from greenroom.basics.ids import is_uuid
from greenroom.builds import actions as builds
from greenroom.builds import queries as build_queries
from greenroom.builds.models import Build, BuildCache
from greenroom.deliveries.models import Delivery
from greenroom.entrypoints.api import shapes
from greenroom.entrypoints.api.drivers import engine
from greenroom.entrypoints.api.listing import Listing
from greenroom.entrypoints.api.routing import HOME, Call, route
from greenroom.entrypoints.api.views_gate import transcript_url
from greenroom.releases import queries as releases
from greenroom.slugs import queries as slugs
from greenroom.slugs.models import Slug


def _output(row: Build) -> str:
    delivery = Delivery.objects.filter(build=row).order_by("seq").first()
    return transcript_url(delivery) if delivery else ""


@route("GET", "/apps/{app}/builds", "view", paged="created_at", returns="[build]")
def list_builds(call: Call) -> Listing:
    """List builds, newest first."""
    return Listing(Build.objects.filter(app=call.app).select_related("account"), _page, "-created_at")


def _page(rows: list[Build]) -> list[dict[str, Any]]:
    found = Delivery.objects.filter(build__in=rows).order_by("-seq")
    outputs = {
        delivery.build_id: transcript_url(delivery) for delivery in found
    }  # the first of several rows of one build wins
    return [shapes.build(row, outputs.get(row.pk, "")) for row in rows]


def _build(call: Call) -> Build:
    rows = Build.objects.filter(app=call.app).select_related("account", "app")
    found = rows.filter(pk=call.params["build"]).first() if is_uuid(call.params["build"]) else None
    if found is None:
        raise NotFoundError("Couldn't find that build.", hint=f"greenroom builds -a {call.app.name}", resource="build")
    return found


@route("GET", "/apps/{app}/builds/{build}", "view", returns="build")
def get_build(call: Call) -> dict[str, Any]:
    """Get one build by its id or its delivery's id."""
    name = call.params["build"]
    delivery = (
        Delivery.objects.filter(app=call.app, pk=name).select_related("build__app", "account").first()
        if is_uuid(name)
        else None
    )
    if delivery is not None:
        return shapes.build_of_delivery(delivery, transcript_url(delivery))
    row = _build(call)
    return shapes.build(row, _output(row))


@route("POST", "/apps/{app}/builds/{build}/actions/cancel", "release", returns="build")
def cancel_build(call: Call) -> dict[str, Any]:
    """Cancel a running build; the live release is unaffected. 409 if it has ended."""
    row = builds.cancel_by(actor=call.actor, build=_build(call), engine=engine())
    return shapes.build(row, _output(row))


def _cache(call: Call) -> dict[str, Any]:
    row = BuildCache.objects.filter(app=call.app).first()
    sizes = build_queries.cache_sizes(call.app, HOME)
    return {
        "app": {"id": str(call.app.id), "name": call.app.name},
        "size": sizes.own,
        "shared_size": sizes.shared,
        "total_size": sizes.all,
        "budget": sizes.budget,
        "generation": row.generation if row else 0,
        "purged_at": row.purged_at.strftime("%Y-%m-%dT%H:%M:%SZ") if row else None,
    }


@route("GET", "/apps/{app}/build-cache", "view", returns="build-cache")
def get_build_cache(call: Call) -> dict[str, Any]:
    """Size of the app's own cache, the shared cache and both, the limit, and the last purge; in bytes."""
    return _cache(call)


@route("DELETE", "/apps/{app}/build-cache", "release", returns="build-cache")
def purge_build_cache(call: Call) -> dict[str, Any]:
    """Purge the app's build cache. The live release is unaffected."""
    builds.purge_cache(actor=call.actor, app=call.app, engine=engine(), home=HOME)
    return _cache(call)


def _slug(call: Call) -> Slug:
    """The slug by id, or of a release: ``v12``, ``current``."""
    name = call.params["slug"]
    if is_uuid(name):
        found = Slug.objects.filter(app=call.app, pk=name).select_related("app").first()
    else:
        found = releases.by_name(call.app, name).slug
    if found is None:
        raise NotFoundError(
            f"Couldn't find slug {name[:40]}.", hint=f"greenroom releases -a {call.app.name}", resource="slug"
        )
    return found


@route("GET", "/apps/{app}/slugs/{slug}", "view", returns="slug")
def get_slug(call: Call) -> dict[str, Any]:
    """Get one slug by id or release.

    Heroku's fields, and ``manifest`` with packages, sizes, hashes and files.
    """
    row = _slug(call)
    return shapes.slug(row, slugs.manifest(row, HOME))


@route("GET", "/apps/{app}/slugs/{slug}/sbom", "view", returns="sbom")
def get_sbom(call: Call) -> dict[str, Any]:
    """The slug's software bill of materials: CycloneDX 1.6."""
    return slugs.bill_of_materials(_slug(call), HOME)
