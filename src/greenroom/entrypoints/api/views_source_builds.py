"""The API of builds from an uploaded archive, and of apps created from one. Both are deliveries with the same gate as a
push.
"""

from __future__ import annotations

from typing import Any, NoReturn

from django.conf import settings

from greenroom.apps.queries import authorise
from greenroom.basics.clock import heroku_time
from greenroom.basics.errors import NotFoundError, UserError
from greenroom.basics.ids import is_uuid
from greenroom.deliveries import queries
from greenroom.deliveries.actions import source_builds
from greenroom.deliveries.actions.source_builds import SourceBlob
from greenroom.deliveries.models import Delivery
from greenroom.entrypoints.api import shapes
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route
from greenroom.entrypoints.api.views_gate import transcript_url

STATUS = {"live": "succeeded", "held": "succeeded", "refused": "failed", "failed": "failed", "superseded": "failed"}


def _blob(call: Call) -> SourceBlob:
    """The body's source_blob."""
    blob = call.body.get("source_blob")
    if not isinstance(blob, dict):
        raise UserError("source_blob must be an object: {url, checksum, version}.", hint="POST /sources gives a url")
    for name in ("url", "checksum", "version"):
        if blob.get(name) is not None and not isinstance(blob[name], str):
            raise UserError(f"source_blob.{name} must be a string.")
    if not blob.get("url"):
        raise UserError("source_blob.url must not be empty.", hint="POST /sources gives one")
    return SourceBlob(url=blob["url"], checksum=blob.get("checksum") or "", version=blob.get("version") or "")


@route("POST", "/apps/{app}/builds", "push", takes="build.create", returns="201 build")
def create_build(call: Call) -> Reply:
    """Build and deliver an archive: {source_blob: {url, checksum, version}}, with a get_url of POST /sources.

    The build has the delivery's id until the worker starts it; both ids find it.
    """
    row = source_builds.build(actor=call.actor, app=call.app, home=HOME, key=settings.SECRET_KEY, blob=_blob(call))
    return Reply(shapes.build_of_delivery(row, transcript_url(row)), 201)


@route("GET", "/apps/{app}/builds/{build}/result", "view", returns="build-result")
def build_result(call: Call) -> dict[str, Any]:
    """The output of a build, line by line, for older clients."""
    name = call.params["build"]
    rows = Delivery.objects.filter(app=call.app).select_related("build", "app", "account")
    row = (
        (rows.filter(build_id=name).order_by("seq").first() or rows.filter(pk=name).first()) if is_uuid(name) else None
    )
    if row is None:
        raise NotFoundError("Couldn't find that build.", hint=f"greenroom builds -a {call.app.name}", resource="build")
    lines = queries.output_of(row, HOME).splitlines()
    shown = shapes.build_of_delivery(row, transcript_url(row))
    return {
        "build": {"id": shown["id"], "status": shown["status"], "output_stream_url": shown["output_stream_url"]},
        "exit_code": {"pending": None, "succeeded": 0}.get(shown["status"], 1),
        "lines": [{"stream": "STDOUT", "line": f"{line}\n"} for line in lines],
    }


@route("POST", "/apps/{app}/slugs", "push", returns="slug")
def create_slug(call: Call) -> NoReturn:
    """Not supported: only builds create slugs."""
    hint = "POST /apps/APP/builds takes an archive; git push takes a commit"
    raise UserError(
        "Slugs are not uploaded here: only what was built here and passed the checks is released.", hint=hint
    )


@route("POST", "/app-setups", "account:write", takes="app-setup.create", returns="202 app-setup")
def create_setup(call: Call) -> Reply:
    """Create an app from an archive: {source_blob: {url}, app: {name}, overrides: {env}}."""
    blob = _blob(call)
    asked, env = call.body.get("app") or {}, (call.body.get("overrides") or {})
    if not isinstance(asked, dict) or not isinstance(env, dict) or not isinstance(env.get("env") or {}, dict):
        raise UserError("app and overrides.env must be objects.")
    name = asked.get("name")
    if name is not None and not isinstance(name, str):
        raise UserError("app.name must be a string.")
    config = env.get("env") or {}
    if config:
        call.may_set_config_vars()
    row = source_builds.create_app(
        actor=call.actor, name=name or None, config=config, home=HOME, key=settings.SECRET_KEY, blob=blob
    )
    return Reply(_setup(row), 202)


@route("GET", "/app-setups/{setup}", "account:read", also="view", returns="app-setup")
def get_setup(call: Call) -> dict[str, Any]:
    """Get the progress of an app setup."""
    name = call.params["setup"]
    row = (
        Delivery.objects.select_related("app", "build", "account").filter(pk=name, kind="push").first()
        if is_uuid(name)
        else None
    )
    if row is None:
        raise NotFoundError("Couldn't find that app setup.", resource="app_setup")
    try:
        authorise(call.actor, str(row.app_id), "view")
    except NotFoundError:
        raise NotFoundError("Couldn't find that app setup.", resource="app_setup") from None
    return _setup(row)


def _setup(row: Delivery) -> dict[str, Any]:
    build = shapes.build_of_delivery(row, transcript_url(row))
    status = STATUS.get(row.state, "pending")
    return {
        "id": str(row.id),
        "app": {"id": str(row.app_id), "name": row.app.name},
        "status": status,
        "build": {"id": build["id"], "status": build["status"], "output_stream_url": build["output_stream_url"]},
        "failure_message": row.reason if status == "failed" else None,
        "manifest_errors": [],
        "postdeploy": None,
        "resolved_success_url": shapes.urls(row.app)["web_url"] if status == "succeeded" else None,
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }
