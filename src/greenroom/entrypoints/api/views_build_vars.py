"""The API of the list of config vars visible to the installers of an app's builds. Names only: no value is read or
shown.
"""

from __future__ import annotations

from typing import Any

from greenroom.basics.errors import UserError
from greenroom.builds import actions as builds
from greenroom.builds.rules import visible_config
from greenroom.entrypoints.api.routing import Call, route

ALWAYS = [
    "PIP_EXTRA_INDEX_URL",
    "POETRY_HTTP_BASIC_*_USERNAME",
    "POETRY_HTTP_BASIC_*_PASSWORD",
    "UV_INDEX_*_USERNAME",
    "UV_INDEX_*_PASSWORD",
]


def _shown(call: Call, names: tuple[str, ...]) -> dict[str, Any]:
    return {"app": {"id": str(call.app.id), "name": call.app.name}, "names": list(names), "always": ALWAYS}


@route("GET", "/apps/{app}/build-vars", "view", returns="build-vars")
def get_build_vars(call: Call) -> dict[str, Any]:
    """List the names of config vars visible to installers. Hooks and collectstatic see all config vars."""
    return _shown(call, visible_config.names(call.app.settings))


@route("PATCH", "/apps/{app}/build-vars", "config:write", takes="build-vars.update", returns="build-vars")
def change_build_vars(call: Call) -> dict[str, Any]:
    """Change the list: {add: [name], remove: [name]}.

    Takes effect at the next build; a name need not be set yet.
    """
    add, remove = _names(call, "add"), _names(call, "remove")
    return _shown(call, builds.change_visible(actor=call.actor, app=call.app, add=add, remove=remove))


def _names(call: Call, key: str) -> list[str]:
    found = call.body.get(key) or []
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise UserError(f"{key} must be a list of names of config vars.")
    return found
