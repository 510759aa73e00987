"""The API of pipelines and their apps."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from greenroom.apps.queries import authorise, visible
from greenroom.basics.clock import heroku_time
from greenroom.basics.errors import UserError
from greenroom.basics.ids import is_uuid
from greenroom.entrypoints.api import shapes
from greenroom.entrypoints.api.listing import NAMED, USUAL, Listing, each
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route
from greenroom.pipelines import actions, queries
from greenroom.pipelines.models import Coupling, Pipeline

FILTERED = 1000


def of_pipeline(row: Pipeline) -> dict[str, Any]:
    """A pipeline."""
    return {
        "id": str(row.pk),
        "name": row.name,
        "owner": {"id": str(row.owner_id), "type": "user"},
        "generation": shapes.GENERATION,
        "owner_email": row.owner.email,
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


def of_coupling(row: Coupling) -> dict[str, Any]:
    """An app's coupling to a pipeline."""
    return {
        "id": str(row.pk),
        "stage": row.stage,
        "app": {"id": str(row.app_id), "name": row.app.name},
        "pipeline": {"id": str(row.pipeline_id), "name": row.pipeline.name},
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


def named(value: Any, what: str) -> str:
    """The id or name in a body, given as a string or as an object with {id} or {name}."""
    if isinstance(value, dict):
        value = value.get("id") or value.get("name")
    if not isinstance(value, str) or not value:
        raise UserError(f"{what} must be a name or an id, or an object with one.")
    return value


@route("GET", "/pipelines", "account:read", paged="id", query=("eq[name]",), returns="[pipeline]")
def list_pipelines(call: Call) -> Listing:
    """List the pipelines that the caller owns or has an app in; ``?eq[name]=`` filters by name."""
    rows, name = queries.visible(call.actor), call.query("eq[name]")
    return Listing(rows.filter(name=name) if name else rows, each(of_pipeline), "name", NAMED)


@route("POST", "/pipelines", "account:write", takes="pipeline.create", returns="201 pipeline")
def create_pipeline(call: Call) -> Reply:
    """Create an empty pipeline: {name, owner}.

    The owner is always the caller; there are no teams.
    """
    owner = call.body.get("owner")
    if isinstance(owner, dict) and (
        owner.get("type", "user") != "user" or owner.get("id", str(call.actor.account_id)) != str(call.actor.account_id)
    ):
        raise UserError("A pipeline is owned by its creator: teams are not supported.", hint="omit owner")
    return Reply(of_pipeline(actions.create(actor=call.actor, name=call.text("name", required=True))), 201)


@route("GET", "/pipelines/{pipeline}", "pipelines:read", returns="pipeline")
def get_pipeline(call: Call) -> dict[str, Any]:
    """Get one pipeline by id or name."""
    return of_pipeline(call.pipeline)


@route("PATCH", "/pipelines/{pipeline}", "pipelines:write", takes="pipeline.update", returns="pipeline")
def rename_pipeline(call: Call) -> dict[str, Any]:
    """Rename a pipeline: {name}."""
    return of_pipeline(actions.rename(actor=call.actor, pipeline=call.pipeline, name=call.text("name", required=True)))


@route("DELETE", "/pipelines/{pipeline}", "pipelines:destroy", returns="pipeline")
def destroy_pipeline(call: Call) -> dict[str, Any]:
    """Destroy a pipeline; its apps stay."""
    body = of_pipeline(call.pipeline)
    actions.destroy(actor=call.actor, pipeline=call.pipeline, home=HOME)
    return body


@route("GET", "/pipelines/{pipeline}/pipeline-couplings", "pipelines:read", paged="id", returns="[pipeline-coupling]")
def list_couplings(call: Call) -> Listing:
    """List the pipeline's apps visible to the caller, by stage."""
    rows = queries.ranked(_seen(call).filter(pipeline=call.pipeline))
    return Listing(
        rows, lambda page: [of_coupling(row) for row in queries.in_order(page)], "stage", {"stage": "rank", **USUAL}
    )


def _seen(call: Call) -> QuerySet[Coupling]:
    return Coupling.objects.filter(app__in=visible(call.actor).values("id")).select_related("app", "pipeline")


def _couplings(call: Call) -> Listing:
    return Listing(_seen(call), each(of_coupling))


@route("GET", "/pipeline-couplings", "account:read", paged="id", returns="[pipeline-coupling]")
def all_couplings(call: Call) -> Listing:
    """List the couplings of all apps visible to the caller."""
    return _couplings(call)


@route("GET", "/users/~/pipeline-couplings", "account:read", paged="id", returns="[pipeline-coupling]")
def my_couplings(call: Call) -> Listing:
    """List the same couplings under Heroku's alternative path."""
    return _couplings(call)


@route(
    "POST",
    "/pipeline-couplings",
    "account:write",
    also="settings pipelines:test",
    takes="pipeline-coupling.create",
    returns="201 pipeline-coupling",
)
def couple(call: Call) -> Reply:
    """Add an app to a stage: {app, pipeline, stage}.

    Requires a role in the pipeline, because a new app restricts the permissions of others.
    """
    pipeline = queries.authorise(call.actor, named(call.body.get("pipeline"), "pipeline"), "pipelines:test")
    app = authorise(call.actor, named(call.body.get("app"), "app"), "settings")
    row = actions.couple(
        actor=call.actor, pipeline=pipeline, app=app, stage=call.text("stage", required=True), home=HOME
    )
    return Reply(of_coupling(row), 201)


@route("GET", "/pipeline-couplings/{coupling}", "account:read", also="view", returns="pipeline-coupling")
def get_coupling(call: Call) -> dict[str, Any]:
    """Get one coupling."""
    return of_coupling(queries.coupling(call.actor, call.params["coupling"], "view"))


@route(
    "PATCH",
    "/pipeline-couplings/{coupling}",
    "account:write",
    also="settings",
    takes="pipeline-coupling.update",
    returns="pipeline-coupling",
)
def move_coupling(call: Call) -> dict[str, Any]:
    """Move an app to another stage: {stage}."""
    row = queries.coupling(call.actor, call.params["coupling"], "settings")
    return of_coupling(actions.move(actor=call.actor, coupling=row, stage=call.text("stage", required=True)))


@route("DELETE", "/pipeline-couplings/{coupling}", "account:write", also="settings", returns="pipeline-coupling")
def uncouple(call: Call) -> dict[str, Any]:
    """Remove the app from its pipeline."""
    row = queries.coupling(call.actor, call.params["coupling"], "settings")
    body = of_coupling(row)
    actions.uncouple(actor=call.actor, coupling=row, home=HOME)
    return body


@route("GET", "/apps/{app}/pipeline-couplings", "view", returns="pipeline-coupling")
def coupling_of_app(call: Call) -> dict[str, Any]:
    """Get the app's coupling; 404 if it is in no pipeline."""
    return of_coupling(queries.coupling_of(call.app))


@route("POST", "/filters/apps", "account:read", paged="id", takes="filter.apps", returns="[app]")
def filter_apps(call: Call) -> list[dict[str, Any]]:
    """Filter apps: {in: {id: [...]}} returns those visible to the caller."""
    wanted = call.body.get("in")
    ids = wanted.get("id") if isinstance(wanted, dict) else None
    if not isinstance(ids, list) or len(ids) > FILTERED or not all(isinstance(text, str) for text in ids):
        raise UserError(f"in.id must be a list of at most {FILTERED} ids of apps.")
    return [shapes.app(row) for row in visible(call.actor).filter(id__in=[text for text in ids if is_uuid(text)])]


@route("GET", "/pipelines/{pipeline}/stage/{stage}/config-vars", "pipelines:config:read", returns="config-vars")
def stage_config(call: Call) -> dict[str, str]:
    """List the config vars of the stage ``test`` or ``review``."""
    return queries.config(call.pipeline, call.params["stage"], HOME)


@route(
    "PATCH",
    "/pipelines/{pipeline}/stage/{stage}/config-vars",
    "pipelines:config:write",
    takes="config-vars.update",
    returns="config-vars",
)
def change_stage_config(call: Call) -> dict[str, str]:
    """Set the config vars of a stage; null removes one."""
    return actions.change_config(
        actor=call.actor, pipeline=call.pipeline, stage=call.params["stage"], home=HOME, updates=call.body
    )
