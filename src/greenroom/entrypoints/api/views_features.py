"""The API of features, which are fixed here, of buildpacks and of their registry. A refusal names the alternative."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Any

from greenroom.basics.clock import heroku_time
from greenroom.basics.errors import NotFoundError, UserError
from greenroom.buildpacks.rules.buildpack_list import APT, INSTEAD, NODE, PYTHON
from greenroom.builds import actions as builds
from greenroom.builds import queries as build_queries
from greenroom.entrypoints.api import heroku_only
from greenroom.entrypoints.api.routing import Call, route

FEATURES: dict[str, tuple[bool, str, str, str]] = {
    "preboot": (True, "general", "New web dynos answer before old ones stop; on for every app.", ""),
    "runtime-dyno-metadata": (
        True,
        "beta",
        "Dynos know HEROKU_APP_NAME, HEROKU_RELEASE_VERSION and HEROKU_SLUG_COMMIT; on for every app.",
        "",
    ),
    "http-session-affinity": (
        False,
        "general",
        "Requests of one browser go to one dyno.",
        "keep sessions in the database, as Django does by default",
    ),
    "log-runtime-metrics": (
        False,
        "beta",
        "Load and memory of each dyno in the log.",
        "see greenroom status and greenroom ps",
    ),
    "http-shorter-timeouts": (
        False,
        "general",
        "A shorter timeout of the router.",
        "the router waits 30 seconds for the first byte, as Heroku's does",
    ),
    "spaces-dns-discovery": (
        False,
        "general",
        "Names for the dynos of a private space.",
        "private spaces are not supported, and dynos cannot connect to each other",
    ),
}
"""name -> (enabled, Heroku's state, description, alternative to the other setting)."""
NAMESPACE = uuid.UUID("6d1f4a64-6a0d-4c52-9f39-2f3d3b8f5a10")


def _feature(call: Call, name: str) -> dict[str, Any]:
    on, state, text, _ = FEATURES[name]
    at = heroku_time(call.app.created_at)
    return {
        "id": str(uuid.uuid5(NAMESPACE, name)),
        "name": name,
        "display_name": name,
        "description": text,
        "doc_url": "",
        "enabled": on,
        "feedback_email": "",
        "state": state,
        "created_at": at,
        "updated_at": at,
    }


def _named(call: Call) -> str:
    wanted = call.params["feature"]
    if wanted == "runtime-heroku-exec":
        raise NotFoundError(heroku_only.ENTERED[0], hint=heroku_only.ENTERED[1], resource="feature")
    name = next((name for name in FEATURES if wanted in (name, str(uuid.uuid5(NAMESPACE, name)))), None)
    if name is None:
        raise NotFoundError(
            f"Couldn't find feature {wanted[:60]}.", hint=f"heroku features -a {call.app.name}", resource="feature"
        )
    return name


@route("GET", "/apps/{app}/features", "view", returns="[app-feature]")
def list_features(call: Call) -> list[dict[str, Any]]:
    """List Heroku's features with their fixed states."""
    return [_feature(call, name) for name in FEATURES]


@route("GET", "/apps/{app}/features/{feature}", "view", returns="app-feature")
def get_feature(call: Call) -> dict[str, Any]:
    """Get one feature, by name or id."""
    return _feature(call, _named(call))


@route("PATCH", "/apps/{app}/features/{feature}", "settings", takes="app-feature.update", returns="app-feature")
def switch_feature(call: Call) -> dict[str, Any]:
    """Set a feature to its present state; any other state is refused."""
    name, wanted = _named(call), call.body.get("enabled")
    if not isinstance(wanted, bool):
        raise UserError("enabled must be true or false.")
    on, _, text, instead = FEATURES[name]
    if wanted != on:
        what = "is always on and cannot be disabled" if on else "is not supported"
        raise UserError(f"{name} {what}.", hint=instead or text)
    return _feature(call, name)


@route("GET", "/account/features/{feature}", "identity", returns="app-feature")
def account_feature(call: Call) -> None:
    """Always 404: the Heroku CLI requests it before the app's feature."""
    raise NotFoundError(
        f"Couldn't find account feature {call.params['feature'][:60]}.", hint="heroku labs -a APP", resource="feature"
    )


def _installed(names: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"ordinal": ordinal, "buildpack": {"url": f"urn:buildpack:{name}", "name": name}}
        for ordinal, name in enumerate(names)
    ]


@route("GET", "/apps/{app}/buildpack-installations", "view", returns="[buildpack-installation]")
def buildpacks(call: Call) -> list[dict[str, Any]]:
    """List the buildpacks in order; empty after `buildpacks:clear`, when they are detected at each build."""
    return _installed(build_queries.buildpacks(call.app))


@route(
    "PUT",
    "/apps/{app}/buildpack-installations",
    "settings",
    takes="buildpack-installation.update",
    returns="[buildpack-installation]",
)
def set_buildpacks(call: Call) -> list[dict[str, Any]]:
    """Set the buildpacks: {updates: [{buildpack}]}, heroku/python with others of Greenroom, or empty."""
    updates = call.body.get("updates")
    if not isinstance(updates, list) or not all(
        isinstance(row, dict) and isinstance(row.get("buildpack"), str) for row in updates
    ):
        raise UserError("updates must be a list of {buildpack: name or URL}.")
    app = builds.set_buildpacks(actor=call.actor, app=call.app, urls=[row["buildpack"] for row in updates])
    return _installed(build_queries.buildpacks(app))


DESCRIPTIONS = {
    PYTHON: "Python, as Heroku builds it",
    NODE: "Node.js, as Heroku builds it, beside heroku/python",
    APT: "Debian packages of Aptfile, for heroku/python",
}
PAGES = {PYTHON: "buildpack-conformance", NODE: "nodejs", APT: "aptfile"}


def _registered(buildpack: str) -> dict[str, Any]:
    namespace, _, name = buildpack.partition("/")
    return {
        "id": str(uuid.uuid5(NAMESPACE, buildpack)),
        "namespace": namespace,
        "name": name,
        "description": DESCRIPTIONS.get(buildpack, "not here"),
        "official": True,
        "support": {"method": "website", "website": _page(buildpack)},
        "category": "languages",
        "source": {"type": "builtin", "owner": "greenroom", "repo": "greenroom"},
        "blob_url": f"urn:buildpack:{buildpack}",
        "logo": None,
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "release": 1,
        "license": None,
        "checksum": None,
    }


def _page(buildpack: str) -> str:
    return f"docs/reference/{PAGES.get(buildpack, PAGES[PYTHON])}.md"


@route(
    "GET",
    "/buildpacks",
    "public",
    query=("like[description]", "in[namespace][]", "in[name][]"),
    returns="[registry-buildpack]",
)
def registry(call: Call) -> list[dict[str, Any]]:
    """List the buildpacks of the registry that match the filters."""
    given = {name: [word for word in call.request.GET.getlist(f"in[{name}][]")] for name in ("namespace", "name")}
    like = call.query("like[description]").replace("%", "").lower()
    return [
        row
        for row in (_registered(name) for name in DESCRIPTIONS)
        if all(not words or row[name] in words for name, words in given.items()) and like in row["description"].lower()
    ]


@route("GET", "/buildpacks/{name}/revisions", "public", wide="name", returns="[registry-revision]")
def registry_versions(call: Call) -> list[dict[str, Any]]:
    """List the versions of a buildpack of the registry: one."""
    name = call.params["name"]
    if name not in DESCRIPTIONS:
        raise NotFoundError(f"Couldn't find buildpack {name[:80]}.", hint=INSTEAD, resource="buildpack")
    return [{**_registered(name), "version": "v1", "status": "published", "error": None}]


@route("GET", "/buildpacks/{name}/readme", "public", wide="name", returns="registry-readme")
def registry_readme(call: Call) -> dict[str, str]:
    """A link to the documentation of the buildpack."""
    return {"content": f"Its behaviour is described in {_page(call.params['name'])}."}


@route("GET", "/buildpacks/{name}", "public", wide="name", returns="registry-buildpack")
def registry_entry(call: Call) -> dict[str, Any]:
    """Get one buildpack.

    Every well-formed name is found, so that the app refuses it later with the reason.
    """
    name = call.params["name"]
    if not re.fullmatch(r"[\w-]+/[\w-]+", name):
        raise NotFoundError(f"{name[:80]} is not a valid buildpack name.", hint=INSTEAD, resource="buildpack")
    return _registered(name)
