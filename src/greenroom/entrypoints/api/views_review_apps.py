"""The API of review apps and of the repository with their branches."""

from __future__ import annotations

from typing import Any

from greenroom.apps.models import App
from greenroom.apps.queries import authorise, visible
from greenroom.basics.clock import heroku_time
from greenroom.basics.errors import ConflictError, NotFoundError, UserError
from greenroom.basics.ids import is_app_name, is_uuid
from greenroom.entrypoints.api import shapes
from greenroom.entrypoints.api.listing import Listing, each
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route
from greenroom.entrypoints.api.views_pipelines import named
from greenroom.pipelines import queries
from greenroom.pipelines.actions import review_apps
from greenroom.pipelines.models import ReviewApp, ReviewAppConfig

FEATURE = "dashboard-repositories-api"


def _review_app(row: ReviewApp) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "status": row.state,
        "branch": row.branch,
        "app": {"id": str(row.app_id)} if row.app_id else None,
        "app_name": row.app_name,
        "pipeline": {"id": str(row.pipeline_id)},
        "creator": {"id": str(row.account_id) if row.account_id else None},
        "message": row.message or None,
        "error_status": "failed" if row.state == "errored" else None,
        "wait_for_ci": row.wait_for_ci,
        "pr_number": None,
        "fork_repo": None,
        "app_setup": None,
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


def _config(row: ReviewAppConfig) -> dict[str, Any]:
    return {
        "pipeline_id": str(row.pipeline_id),
        "repo": {"id": row.parent.number, "full_name": f"greenroom/{row.parent.name}"},
        "automatic_review_apps": row.automatic,
        "destroy_stale_apps": row.destroy_stale,
        "stale_days": row.stale_days,
        "wait_for_ci": row.wait_for_ci,
        "base_name": row.base_name or None,
        "deploy_target": None,
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


@route("GET", "/account/features/" + FEATURE, "identity", returns="app-feature")
def repositories_feature(call: Call) -> dict[str, Any]:
    """Enables ``/pipelines/P/repo`` in the Heroku CLI, instead of kolkrabbi.heroku.com."""
    return {
        "id": "00000000-0000-4000-8000-0000000000f1",
        "name": FEATURE,
        "enabled": True,
        "state": "general",
        "description": "Repositories of pipelines",
        "display_name": None,
        "doc_url": "",
        "feedback_email": "",
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
    }


def _parent(call: Call) -> App:
    """The app whose branches get review apps, if it is visible to the caller."""
    return authorise(call.actor, str(review_apps.parent_of(call.pipeline).pk), "view")


@route("GET", "/pipelines/{pipeline}/repo", "pipelines:read", returns="pipeline-repo")
def repo(call: Call) -> dict[str, Any]:
    """The pipeline's repository: that of the app whose branches get review apps."""
    app = _parent(call)
    return {
        "id": app.number,
        "full_name": f"greenroom/{app.name}",
        "name": app.name,
        "type": "greenroom",
        "url": shapes.urls(app)["git_url"],
    }


@route("GET", "/pipelines/{pipeline}/repo/branches/{branch}", "pipelines:read", wide="branch", returns="branch")
def branch(call: Call) -> dict[str, Any]:
    """Get one branch of the repository; 404 if it does not exist."""
    _parent(call)
    sha = review_apps.branch_head(call.pipeline, call.params["branch"], HOME)
    return {"name": call.params["branch"], "sha": sha, "commit": {"sha": sha}}


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 365:
        raise UserError("stale_days must be a number from 1 to 365.")
    return value


def _changes(call: Call) -> dict[str, Any]:
    """The settings of a body, with the column names of the table."""
    names = {"automatic_review_apps": "automatic", "destroy_stale_apps": "destroy_stale", "wait_for_ci": "wait_for_ci"}
    found: dict[str, Any] = {}
    for key, column in names.items():
        value = call.body.get(key)
        if value is not None and not isinstance(value, bool):
            raise UserError(f"{key} must be true or false.")
        found[column] = value
    if call.body.get("stale_days") is not None:
        found["stale_days"] = _number(call.body["stale_days"])
    base = call.text("base_name")
    if base and (len(base) > 20 or not is_app_name(base)):
        raise UserError("base_name must be 3 to 20 lower-case letters, digits and dashes, starting with a letter.")
    _refuse_foreign(call)
    return found | ({"base_name": base} if base else {})


def _refuse_foreign(call: Call) -> None:
    wanted, app = call.text("repo"), _parent(call)
    if wanted and wanted not in (f"greenroom/{app.name}", app.name):
        hint = f"omit repo, or set it to greenroom/{app.name}"
        raise UserError(
            f"The repository of {call.pipeline.name} is that of {app.name}; {wanted[:100]!r} cannot be connected.",
            hint=hint,
        )


@route("GET", "/pipelines/{pipeline}/review-app-config", "pipelines:read", returns="review-app-config")
def get_config(call: Call) -> dict[str, Any]:
    """Get the review app settings of the pipeline."""
    return _config(_known(call))


def _known(call: Call) -> ReviewAppConfig:
    row = ReviewAppConfig.objects.filter(pipeline=call.pipeline).select_related("parent").first()
    if row is None or not visible(call.actor).filter(pk=row.parent.pk).exists():
        hint = f"heroku reviewapps:enable -p {call.pipeline.name}"
        raise NotFoundError(
            f"Review apps are not enabled for {call.pipeline.name}.", hint=hint, resource="review_app_config"
        )
    return row


@route(
    "POST",
    "/pipelines/{pipeline}/review-app-config",
    "pipelines:write",
    takes="review-app-config.update",
    returns="201 review-app-config",
)
def enable(call: Call) -> Reply:
    """Enable review apps: {repo, automatic_review_apps, destroy_stale_apps, stale_days, wait_for_ci, base_name}."""
    if ReviewAppConfig.objects.filter(pipeline=call.pipeline).exists():
        hint = (
            f"change them with: heroku reviewapps:enable -p {call.pipeline.name} --autodeploy, --autodestroy and"
            " --wait-for-ci"
        )
        raise ConflictError(f"Review apps are already enabled for {call.pipeline.name}.", hint=hint)
    return Reply(_config(review_apps.configure(actor=call.actor, pipeline=call.pipeline, changes=_changes(call))), 201)


@route(
    "PATCH",
    "/pipelines/{pipeline}/review-app-config",
    "pipelines:write",
    takes="review-app-config.update",
    returns="review-app-config",
)
def change_config(call: Call) -> dict[str, Any]:
    """Change the given settings.

    Enabling a part enables review apps: ``reviewapps:enable --autodeploy`` of the Heroku CLI relies on it.
    """
    if not (
        any(value is True for value in call.body.values())
        and not ReviewAppConfig.objects.filter(pipeline=call.pipeline).exists()
    ):
        _known(call)
    return _config(review_apps.configure(actor=call.actor, pipeline=call.pipeline, changes=_changes(call)))


@route("DELETE", "/pipelines/{pipeline}/review-app-config", "pipelines:write", returns="review-app-config")
def disable(call: Call) -> dict[str, Any]:
    """Disable automatic review apps."""
    body = _config(_known(call))
    review_apps.disable(actor=call.actor, pipeline=call.pipeline)
    return body


@route("GET", "/pipelines/{pipeline}/review-apps", "pipelines:read", paged="id", returns="[review-app]")
def list_review_apps(call: Call) -> Listing:
    """List the pipeline's existing review apps, if their parent app is visible to the caller.

    ``app_name`` is empty for a refused one.
    """
    rows = review_apps.open_reviews().filter(pipeline=call.pipeline, parent__in=visible(call.actor).values("id"))
    return Listing(rows, each(_review_app))


@route(
    "POST",
    "/review-apps",
    "account:write",
    also="pipelines:test view",
    takes="review-app.create",
    returns="201 review-app",
)
def create_review_app(call: Call) -> Reply:
    """Create a review app for a branch of the pipeline's repository: {branch, pipeline, environment}.

    source_blob is ignored: the branch is built.
    """
    if call.body.get("fork_repo_id") is not None or call.body.get("pr_number") is not None:
        raise UserError(
            "Pull requests and forks are not supported: a review app uses a branch of the pipeline's own repository."
        )
    pipeline = queries.authorise(call.actor, named(call.body.get("pipeline"), "pipeline"), "pipelines:test")
    authorise(call.actor, str(review_apps.parent_of(pipeline).pk), "view")
    environment = call.body.get("environment")
    if environment is not None and not isinstance(environment, dict):
        raise UserError("environment must be an object of strings.")
    if environment:
        call.may_set_config_vars()
    row = review_apps.begin(
        actor=call.actor,
        pipeline=pipeline,
        branch=call.text("branch", required=True),
        home=HOME,
        environment=environment,
    )
    return Reply(_review_app(row), 201)


def _by_id(call: Call, permission: str) -> ReviewApp:
    identity = call.params["review_app"]
    row = ReviewApp.objects.select_related("app", "pipeline").filter(pk=identity).first() if is_uuid(identity) else None
    if row is None:
        raise NotFoundError("Couldn't find that review app.", resource="review_app")
    queries.authorise(call.actor, str(row.pipeline_id), permission)
    return row


@route("GET", "/review-apps/{review_app}", "account:read", also="pipelines:read", returns="review-app")
def get_review_app(call: Call) -> dict[str, Any]:
    """Get one review app; destroyed ones are included."""
    return _review_app(_by_id(call, "pipelines:read"))


@route("DELETE", "/review-apps/{review_app}", "account:write", also="pipelines:write", returns="review-app")
def destroy_review_app(call: Call) -> dict[str, Any]:
    """Destroy a review app.

    Requires ``settings`` for its app if the caller sees it, else ``pipelines:write`` for the pipeline.
    """
    row = _by_id(call, "pipelines:read")
    if row.app is not None and visible(call.actor).filter(pk=row.app.pk).exists():
        authorise(call.actor, str(row.app.pk), "settings")
    else:
        queries.authorise(call.actor, str(row.pipeline_id), "pipelines:write")
    return _review_app(review_apps.remove(actor=call.actor, review=row))


@route("GET", "/apps/{app}/review-app", "view", returns="review-app")
def review_app_of(call: Call) -> dict[str, Any]:
    """Get the review app of an app; 404 if it is not a review app."""
    row = ReviewApp.objects.filter(app=call.app).first()
    if row is None:
        raise NotFoundError(
            f"{call.app.name} is not a review app.", hint="heroku pipelines:info PIPELINE", resource="review_app"
        )
    return _review_app(row)
