"""The API of promotions: releases one app's slug in other apps of the pipeline."""

from __future__ import annotations

from typing import Any

from greenroom.apps.models import App
from greenroom.apps.queries import authorise
from greenroom.basics.clock import heroku_time
from greenroom.basics.errors import UserError
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route
from greenroom.entrypoints.api.views_pipelines import named
from greenroom.pipelines import actions, queries, rules
from greenroom.pipelines.models import Promotion, PromotionTarget
from greenroom.releases import queries as releases

FORCE_HEADER = "Greenroom-Force"
"""``HEROKU_HEADERS='{"Greenroom-Force": "APP"}'`` sends it from the Heroku CLI."""


def _promotion(row: Promotion) -> dict[str, Any]:
    outcomes = [queries.outcome(target) for target in queries.targets(row)]
    return {
        "id": str(row.pk),
        "pipeline": {"id": str(row.pipeline_id)},
        "status": queries.promotion_status(outcomes),
        "source": {
            "app": {"id": str(row.source_id) if row.source_id else None},
            "release": {"id": str(row.source_release_id) if row.source_release_id else None},
        },
        "forced": row.forced,
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


def _target(row: PromotionTarget) -> dict[str, Any]:
    status, error = queries.outcome(row)
    release = {"id": str(row.release_id), "version": row.release.version} if row.release else None
    return {
        "id": str(row.pk),
        "app": {"id": str(row.app_id), "name": row.app.name},
        "status": status,
        "error_message": error or None,
        "release": release,
        "pipeline_promotion": {"id": str(row.promotion_id)},
    }


@route(
    "POST",
    "/pipeline-promotions",
    "account:write",
    also="release pipelines:read view",
    takes="pipeline-promotion.create",
    returns="201 pipeline-promotion",
)
def promote(call: Call) -> Reply:
    """Promote a release's slug to the targets.

    {pipeline, source: {app, release}, targets: [{app}], force}. Pending migrations of a target hold the release there,
    unless ``force`` is true or the header Greenroom-Force names the target.
    """
    pipeline = queries.authorise(call.actor, named(call.body.get("pipeline"), "pipeline"), "pipelines:read")
    source_body = call.body.get("source")
    if not isinstance(source_body, dict):
        raise UserError("source must be an object with an app.")
    source = authorise(call.actor, named(source_body.get("app"), "source.app"), "view")
    release = source_body.get("release")
    chosen = releases.by_name(source, named(release, "source.release")) if release else None
    targets = _targets(call)
    names = [app.name for app in targets]
    forced = (
        names
        if call.body.get("force") is True
        else rules.forced_targets(call.request.headers.get(FORCE_HEADER, ""), names)
    )
    row = actions.promote(
        actor=call.actor, pipeline=pipeline, source=source, targets=targets, home=HOME, release=chosen, forced=forced
    )
    return Reply(_promotion(row), 201)


def _targets(call: Call) -> list[App]:
    given = call.body.get("targets")
    if not isinstance(given, list) or not given or not all(isinstance(row, dict) for row in given):
        raise UserError("targets must be a list of objects with an app.")
    return [authorise(call.actor, named(row.get("app"), "targets.app"), "release") for row in given]


@route("GET", "/pipeline-promotions/{promotion}", "account:read", also="pipelines:read", returns="pipeline-promotion")
def get_promotion(call: Call) -> dict[str, Any]:
    """Get one promotion."""
    return _promotion(queries.promotion(call.actor, call.params["promotion"]))


@route(
    "GET",
    "/pipeline-promotions/{promotion}/promotion-targets",
    "account:read",
    also="pipelines:read",
    returns="[promotion-target]",
)
def list_targets(call: Call) -> list[dict[str, Any]]:
    """List the targets with their results."""
    return [_target(row) for row in queries.targets(queries.promotion(call.actor, call.params["promotion"]))]
