"""The API of Heroku settings that are fixed here: features, buildpacks, the buildpack registry. Each refusal names the
alternative.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from greenroom.apps.actions import change_settings
from greenroom.basics.clock import heroku_time
from greenroom.basics.errors import NotFoundError, UserError
from greenroom.entrypoints.api import heroku_only
from greenroom.entrypoints.api.routing import Call, route

PYTHON = "heroku/python"
PYTHON_URLS = re.compile(
    r"(urn:buildpack:)?heroku/python\Z|https://(www\.)?github\.com/heroku/heroku-buildpack-python(\.git)?(#.*)?\Z"
    r"|https://.*/heroku/python\.tgz\Z"
)
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
INSTEAD = (
    "only heroku/python is supported; replace other buildpacks by bin/pre_compile and bin/post_compile"
    " (docs/reference/app-files.md)."
)


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


def _buildpacks(name: str) -> list[dict[str, Any]]:
    return [{"ordinal": 0, "buildpack": {"url": f"urn:buildpack:{name}", "name": name}}] if name else []


@route("GET", "/apps/{app}/buildpack-installations", "view", returns="[buildpack-installation]")
def buildpacks(call: Call) -> list[dict[str, Any]]:
    """List the configured buildpacks; empty after `buildpacks:clear`, with the same detected buildpack."""
    return _buildpacks(call.app.buildpack)


@route(
    "PUT",
    "/apps/{app}/buildpack-installations",
    "settings",
    takes="buildpack-installation.update",
    returns="[buildpack-installation]",
)
def set_buildpacks(call: Call) -> list[dict[str, Any]]:
    """Set the buildpacks: {updates: [{buildpack}]}, heroku/python once, or empty."""
    updates = call.body.get("updates")
    if not isinstance(updates, list) or not all(
        isinstance(row, dict) and isinstance(row.get("buildpack"), str) for row in updates
    ):
        raise UserError("updates must be a list of {buildpack: name or URL}.")
    others = [row["buildpack"] for row in updates if not PYTHON_URLS.match(row["buildpack"])]
    if others:
        raise UserError(f"The buildpack {others[0][:200]} cannot be used.", hint=INSTEAD)
    if len(updates) > 1:
        raise UserError(f"{PYTHON} must be given exactly once.", hint=f"heroku buildpacks -a {call.app.name}")
    app = change_settings(actor=call.actor, app=call.app, buildpack=PYTHON if updates else "")
    return _buildpacks(app.buildpack)


def _registered() -> dict[str, Any]:
    return {
        "id": str(uuid.uuid5(NAMESPACE, PYTHON)),
        "namespace": "heroku",
        "name": "python",
        "description": "Python, as Heroku builds it",
        "official": True,
        "support": {"method": "website", "website": "docs/reference/buildpack-conformance.md"},
        "category": "languages",
        "source": {"type": "builtin", "owner": "greenroom", "repo": "greenroom"},
        "blob_url": f"urn:buildpack:{PYTHON}",
        "logo": None,
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "release": 1,
        "license": None,
        "checksum": None,
    }


@route(
    "GET",
    "/buildpacks",
    "public",
    query=("like[description]", "in[namespace][]", "in[name][]"),
    returns="[registry-buildpack]",
)
def registry(call: Call) -> list[dict[str, Any]]:
    """List the buildpack registry's single entry, if it matches the filters."""
    given = {name: [word for word in call.request.GET.getlist(f"in[{name}][]")] for name in ("namespace", "name")}
    like = call.query("like[description]").replace("%", "").lower()
    row = _registered()
    fits = all(not words or row[name] in words for name, words in given.items()) and like in row["description"].lower()
    return [row] if fits else []


@route("GET", "/buildpacks/{name}/revisions", "public", wide="name", returns="[registry-revision]")
def registry_versions(call: Call) -> list[dict[str, Any]]:
    """List the versions of the registry's single entry."""
    if call.params["name"] != PYTHON:
        raise NotFoundError(f"Couldn't find buildpack {call.params['name'][:80]}.", hint=INSTEAD, resource="buildpack")
    return [{**_registered(), "version": "v1", "status": "published", "error": None}]


@route("GET", "/buildpacks/{name}/readme", "public", wide="name", returns="registry-readme")
def registry_readme(call: Call) -> dict[str, str]:
    """A link to the documentation of the buildpack."""
    return {"content": "Its behaviour is described in docs/reference/buildpack-conformance.md."}


@route("GET", "/buildpacks/{name}", "public", wide="name", returns="registry-buildpack")
def registry_entry(call: Call) -> dict[str, Any]:
    """Get one buildpack.

    Every well-formed name is found, so that the app refuses it later with the reason.
    """
    name = call.params["name"]
    if name == PYTHON:
        return _registered()
    if not re.fullmatch(r"[\w-]+/[\w-]+", name):
        raise NotFoundError(f"{name[:80]} is not a valid buildpack name.", hint=INSTEAD, resource="buildpack")
    return {
        **_registered(),
        "namespace": name.partition("/")[0],
        "name": name.partition("/")[2],
        "description": "not here",
        "blob_url": f"urn:buildpack:{name}",
    }
