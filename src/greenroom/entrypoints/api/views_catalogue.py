"""The API of an installation's catalogue: dyno sizes, and single stacks, regions, plans and process types."""

from __future__ import annotations

import uuid
from typing import Any

from greenroom.apps.queries import collaborator
from greenroom.basics.errors import NotFoundError
from greenroom.dynos.rules import SIZES
from greenroom.entrypoints.api import shapes, views_addons, views_apps, views_formation
from greenroom.entrypoints.api.routing import Call, route

NAMES = uuid.UUID("00000000-0000-4000-8000-000000000020")
"""The UUID namespace for the ids of dyno sizes, the same at each installation."""


def _one(rows: list[dict[str, Any]], wanted: str, resource: str, field: str = "name") -> dict[str, Any]:
    """The row of that name or id; case-insensitive."""
    found = next((row for row in rows if wanted.casefold() in (str(row[field]).casefold(), row["id"])), None)
    if found is None:
        names = ", ".join(str(row[field]) for row in rows)
        raise NotFoundError(
            f"Couldn't find that {resource.replace('_', ' ')}.",
            hint=f"available: {names}" if names else "",
            resource=resource,
        )
    return found


def _size(name: str, megabytes: int) -> dict[str, Any]:
    """A size. memory is in GB, as on Heroku; there are no prices."""
    shown = "-".join(part.upper() if part[0].isdecimal() else part.capitalize() for part in name.split("-"))
    return {
        "id": str(uuid.uuid5(NAMES, name)),
        "name": shown,
        "architecture": "amd64",
        "compute": 1,
        "precise_dyno_units": 1.0,
        "dedicated": False,
        "dyno_units": 1,
        "generation": shapes.GENERATION,
        "memory": round(megabytes / 1024, 2),
        "private_space_only": False,
        "cost": {"cents": 0, "unit": "month"},
    }


@route("GET", "/dyno-sizes", "identity", returns="[dyno-size]")
def dyno_sizes(call: Call) -> list[dict[str, Any]]:
    """List the dyno sizes."""
    return [_size(name, megabytes) for name, megabytes in SIZES.items()]


@route("GET", "/dyno-sizes/{size}", "identity", returns="dyno-size")
def dyno_size(call: Call) -> dict[str, Any]:
    """Get one dyno size."""
    return _one(dyno_sizes(call), call.params["size"], "dyno_size")


@route("GET", "/apps/{app}/available-dyno-sizes", "view", returns="[dyno-size]")
def sizes_of_app(call: Call) -> list[dict[str, Any]]:
    """List the dyno sizes, which are the same for each app."""
    return dyno_sizes(call)


@route("GET", "/stacks/{stack}", "identity", returns="stack")
def stack(call: Call) -> dict[str, Any]:
    """Get one stack."""
    return _one(views_apps.stacks(call), call.params["stack"], "stack")


@route("GET", "/apps/{app}/available-stacks", "view", returns="[stack]")
def stacks_of_app(call: Call) -> list[dict[str, Any]]:
    """List the stacks, which are the same for each app."""
    return views_apps.stacks(call)


@route("GET", "/regions/{region}", "identity", returns="region")
def region(call: Call) -> dict[str, Any]:
    """Get one region."""
    return _one(views_apps.regions(call), call.params["region"], "region")


@route("GET", "/addon-services/{service}/plans/{plan}", "identity", returns="plan")
def plan(call: Call) -> dict[str, Any]:
    """Get one plan of a service."""
    return _one(views_addons.plans(call), call.params["plan"], "plan")


@route("GET", "/apps/{app}/formation/{type}", "view", returns="formation")
def formation(call: Call) -> dict[str, Any]:
    """Get one process type, by its name or its formation's id."""
    return _one(views_formation.list_formation(call), call.params["type"], "formation", "type")


@route("GET", "/apps/{app}/collaborators/{email}", "view", returns="collaborator")
def get_collaborator(call: Call) -> dict[str, Any]:
    """Get one collaborator, by e-mail or account id."""
    return shapes.collaborator(collaborator(call.app, call.params["email"]))
