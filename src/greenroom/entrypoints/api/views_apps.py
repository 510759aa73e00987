"""The API of apps, config vars and collaborators."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from greenroom.accounts.rules import scope_grants
from greenroom.addons import registry
from greenroom.apps import actions
from greenroom.apps.models import App
from greenroom.apps.queries import authorise, collaborator, visible
from greenroom.apps.rules import HEROKU_PERMISSIONS, role_of_permissions
from greenroom.basics import clock
from greenroom.basics.errors import UserError
from greenroom.basics.folders import bytes_of
from greenroom.config_vars import queries as config
from greenroom.deliveries import actions as deliveries
from greenroom.deliveries.actions import app_lifecycle
from greenroom.dynos.queries import live, standings
from greenroom.entrypoints.api import shapes
from greenroom.entrypoints.api.drivers import engine
from greenroom.entrypoints.api.listing import NAMED, USUAL, Listing, each
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route
from greenroom.entrypoints.api.views_snapshots import database_of

SDK = "3.sdk"


def _sdk(call: Call) -> bool:
    return SDK in call.request.headers.get("Accept", "")


@route("GET", "/apps", "account:read", paged="name", returns="[app]")
def list_apps(call: Call) -> Listing:
    """List the apps visible to the caller.

    ``state``: live, held, crashed or none; ``live_version``: the version of the live release.
    """
    sdk = _sdk(call)

    def page(rows: list[App]) -> list[dict[str, Any]]:
        known = standings(rows)
        found = [(app, *known.get(app.pk, ("none", None))) for app in rows]
        return [{**shapes.app(app, sdk=sdk), "state": state, "live_version": version} for app, state, version in found]

    return Listing(visible(call.actor), page, "name", {**NAMED, "updated_at": "updated_at"})


@route("GET", "/users/~/apps", "account:read", paged="name", returns="[app]")
def own_apps(call: Call) -> Listing:
    """List the same apps under Heroku's alternative path."""
    return list_apps(call)


@route("POST", "/apps", "account:write", takes="app.create", returns="201 app")
def create_app(call: Call) -> Reply:
    """Create an app with its repository, log, database and first releases: {name, region, stack}.

    {database: false} creates it without a database; ``POST /apps/APP/addons`` adds one later.
    """
    _refuse_places(call)
    bare = call.body.get("database") is False
    app = app_lifecycle.create(actor=call.actor, name=call.text("name") or None, home=HOME, bare=bare)
    return Reply(shapes.app(app, sdk=_sdk(call)), 201)


@route("GET", "/apps/{app}", "view", returns="app")
def get_app(call: Call) -> dict[str, Any]:
    """Get one app, with the sizes of its repository and live slug in bytes."""
    rollout = live(call.app)
    slug = rollout.release.slug if rollout else None
    sizes = {"repo_size": bytes_of(HOME / call.app.repo_folder), "slug_size": slug.size if slug else None}
    return {**shapes.app(call.app, sdk=_sdk(call)), **sizes}


@route("PATCH", "/apps/{app}", "settings", takes="app.update", returns="app")
def change_app(call: Call) -> dict[str, Any]:
    """Change name, maintenance mode, required checks, or the pause of automatic deployment.

    {deploy_paused: reason, deploy_paused_until: a time or null}.
    """
    _refuse_places(call)
    changes: dict[str, Any] = {}
    if "maintenance" in call.body:
        wanted = call.body["maintenance"]
        if isinstance(wanted, int):  # heroku3 sends 0
            wanted = {0: False, 1: True}.get(wanted)
        if not isinstance(wanted, bool):
            raise UserError("maintenance must be true or false.")
        changes["maintenance"] = wanted
    if "required_checks" in call.body:
        names = call.body["required_checks"]
        if not isinstance(names, list) or not all(isinstance(name, str) and 0 < len(name) <= 100 for name in names):
            raise UserError("required_checks must be a list of names of at most 100 characters.")
        changes["required_checks"] = names
    until = _pause_end(call)
    if call.text("deploy_paused"):
        changes |= {"deploy_paused": call.text("deploy_paused")[:300], "deploy_paused_until": until}
    resume = "deploy_paused" in call.body and not call.text("deploy_paused")
    app = app_lifecycle.change(
        actor=call.actor, app=call.app, home=HOME, name=call.text("name"), resume=resume, changes=changes
    )
    return shapes.app(app, sdk=_sdk(call))


PERMISSIONS_HINT = (
    "view: role viewer; view and deploy: developer; view, deploy and operate: operator; or omit permissions"
    " and set a role"
)
PLACES = {"stack": shapes.STACK, "build_stack": shapes.STACK, "region": shapes.REGION}
ABSENT = {
    "space": "Private spaces are not supported: dynos of different apps are always isolated.",
    "team": "Teams are not supported: an app has an owner, and collaborators with roles.",
    "organization": "Teams are not supported: an app has an owner, and collaborators with roles.",
}


def _refuse_places(call: Call) -> None:
    """UserError for an unavailable stack or region, and for teams and spaces."""
    for name, row in PLACES.items():
        given = call.body.get(name)
        text = given.get("name") or given.get("id") if isinstance(given, dict) else given
        if text and text not in row.values():
            what = "stack" if "stack" in name else "region"
            command = "apps:stacks" if what == "stack" else "regions"
            raise UserError(
                f"Couldn't find {what} {str(text)[:60]}: apps are on {row['name']}.",
                hint=f"omit --{what}; list them with: heroku {command}",
            )
    for name, text in ABSENT.items():
        if call.body.get(name):
            raise UserError(text, hint="heroku access:add E-MAIL -a APP" if name != "space" else "omit --space")


def _pause_end(call: Call) -> datetime | None:
    """The end of the requested pause; None if it has no end."""
    text = call.text("deploy_paused_until")
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None or not call.text("deploy_paused"):
        raise UserError(
            "deploy_paused_until must be a time with a UTC offset, and requires deploy_paused, the reason.",
            hint='for example "2026-11-27T17:00:00Z"',
        )
    if moment <= clock.now():
        raise UserError(
            f"deploy_paused_until is in the past: {clock.heroku_time(moment)}.",
            hint=f"the current time is {clock.heroku_time(clock.now())}",
        )
    return moment


@route("DELETE", "/apps/{app}", "destroy", returns="app")
def destroy_app(call: Call) -> dict[str, Any]:
    """Destroy the app with its dynos, database, repository and log."""
    body = shapes.app(call.app, sdk=_sdk(call))
    app_lifecycle.destroy(actor=call.actor, app=call.app, engine=engine(), home=HOME)
    return body


@route("GET", "/apps/{app}/config-vars", "config:read", returns="config-vars")
def list_config(call: Call) -> dict[str, str]:
    """List all config vars with their values."""
    latest = config.latest(call.app)
    return config.values(latest, HOME) if latest else {}


@route("PATCH", "/apps/{app}/config-vars", "config:write", takes="config-vars.update", returns="config-vars")
def change_config(call: Call) -> Reply:
    """Set config vars; null removes one. All changes make one release."""
    release = deliveries.change_config(actor=call.actor, app=call.app, home=HOME, updates=call.body)
    serving = live(call.app)
    undo = (
        {"X-Greenroom-Undo": f"v{serving.release.version}"} if serving and serving.release.status == "succeeded" else {}
    )
    headers = {"X-Greenroom-Release": f"v{release.version}", **undo, **shapes.news(release)} if release else {}
    return Reply(list_config(call), 200, headers)


@route("GET", "/apps/{app}/collaborators", "view", returns="[collaborator]")
def list_collaborators(call: Call) -> Listing:
    """List the owner and all collaborators."""
    app = call.app
    owner: dict[str, Any] = {
        "id": str(app.id),
        "role": "owner",
        "user": {**shapes.user(app.owner), "federated": False},
        "permissions": [],
        "app": {"id": str(app.id), "name": app.name},
        "created_at": shapes.heroku_time(app.created_at),
        "updated_at": shapes.heroku_time(app.updated_at),
    }
    rows = app.collaborators.select_related("account", "app")
    return Listing(rows, each(shapes.collaborator), "email", {"email": "account__email", **USUAL}, first=(owner,))


@route("POST", "/apps/{app}/collaborators", "access", takes="collaborator.create", returns="201 collaborator")
def add_collaborator(call: Call) -> Reply:
    """Add a collaborator: {user: e-mail, role}, or Heroku's permissions instead of a role."""
    row = actions.add_collaborator(
        actor=call.actor, app=call.app, email=call.text("user", required=True), role=_wanted_role(call)
    )
    return Reply(shapes.collaborator(row), 201)


def _wanted_role(call: Call) -> str:
    """The requested role. Heroku's permissions map to the role with exactly these permissions, never to a wider one."""
    role, given = call.text("role"), call.body.get("permissions")
    if not given:
        return role or "developer"
    if not isinstance(given, list):
        raise UserError("permissions must be a list.", hint=PERMISSIONS_HINT)
    names = [str(row.get("name") if isinstance(row, dict) else row) for row in given]
    if any(name not in HEROKU_PERMISSIONS for name in names):
        raise UserError(f"permissions are {', '.join(HEROKU_PERMISSIONS)}.", hint=PERMISSIONS_HINT)
    found = role_of_permissions(names)
    if not found or role not in ("", found):
        raise UserError(
            f"No role grants exactly {', '.join(sorted(set(names)))}{f' and is {role}' if found else ''}.",
            hint=PERMISSIONS_HINT,
        )
    return found


@route("DELETE", "/apps/{app}/collaborators/{email}", "view", returns="collaborator")
def remove_collaborator(call: Call) -> dict[str, Any]:
    """Remove a collaborator; removing oneself only needs a scope with write access."""
    row = collaborator(call.app, call.params["email"])
    if row.account_id != call.actor.account_id or not scope_grants(call.actor.scopes, "write"):
        authorise(call.actor, call.app.name, "access")
    body = shapes.collaborator(row)
    actions.remove_collaborator(actor=call.actor, app=call.app, email=row.account.email)
    return body


@route("GET", "/apps/{app}/pg", "data:read", returns="pg")
def database(call: Call) -> dict[str, Any]:
    """The app's database: size, tables, connections."""
    addon = database_of(call.app)
    return registry.kind(addon.kind).info(addon)


@route("GET", "/regions", "identity", returns="[region]")
def regions(call: Call) -> list[dict[str, Any]]:
    """List the regions: one, this machine."""
    return [
        {
            **shapes.REGION,
            "country": "",
            "description": "this machine",
            "locale": "",
            "private_capable": False,
            "provider": {"name": "greenroom", "region": "local"},
        }
    ]


@route("GET", "/stacks", "identity", returns="[stack]")
def stacks(call: Call) -> list[dict[str, Any]]:
    """List the stacks: one."""
    return [{**shapes.STACK, "default": True, "state": "public"}]
