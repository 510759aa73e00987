"""The API of test runs, for ``heroku ci`` and its subcommands."""

from __future__ import annotations

import re
import time
from typing import Any

from django.conf import settings

from greenroom.apps.queries import authorise, visible
from greenroom.basics.clock import heroku_time
from greenroom.basics.errors import NotFoundError, UserError
from greenroom.basics.ids import is_uuid
from greenroom.entrypoints.api import client_urls, shapes, signed_links
from greenroom.entrypoints.api.drivers import engine
from greenroom.entrypoints.api.listing import USUAL, Listing, each
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route
from greenroom.entrypoints.api.views_pipelines import named
from greenroom.git import queries as git
from greenroom.pipelines import queries, rules
from greenroom.pipelines.actions import test_runs
from greenroom.pipelines.models import TestRun

PAUSE = 0.25
"""Seconds to wait for a state change of a running test run."""
ONE = re.compile(r"max=1(?![0-9])")


def _status(row: TestRun) -> str:
    run = row.check_run
    return rules.test_status(state=row.state, check=run.status if run else "", conclusion=run.conclusion if run else "")


def _exit_code(status: str) -> int | None:
    return {"succeeded": 0, "failed": 1, "errored": 1, "cancelled": 1}.get(status)


def _test_run(row: TestRun) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "number": row.number,
        "status": _status(row),
        "pipeline": {"id": str(row.pipeline_id), "name": row.pipeline.name},
        "commit_branch": row.commit_branch,
        "commit_sha": row.commit_sha,
        "commit_message": row.commit_message,
        "message": row.message or (row.check_run.title if row.check_run else "") or None,
        "warning_message": None,
        "actor_email": row.account.email if row.account else "greenroom@localhost",
        "user": shapes.user(row.account),
        "organization": None,
        "app_setup": None,
        "clear_cache": False,
        "debug": False,
        "dyno": {"size": "standard-1x"},
        "source_blob_url": "",
        "uploaded": row.uploaded,
        "app": {"id": str(row.app_id), "name": row.app.name},
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


def _node(row: TestRun) -> dict[str, Any]:
    status = _status(row)
    return {
        "id": str(row.node),
        "index": 0,
        "status": status,
        "exit_code": _exit_code(status),
        "error_status": None,
        "message": row.message or None,
        "dyno": None,
        "pipeline": {"id": str(row.pipeline_id)},
        "test_run": {"id": str(row.pk)},
        "setup_stream_url": _stream(row, row.setup),
        "output_stream_url": _stream(row, row.output),
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


def _stream(row: TestRun, file: str) -> str:
    """A signed https link: the Heroku CLI fetches these two with node's https module only."""
    payload = {"file": file, "done": f"{file}.done"}
    token = signed_links.signed(
        payload, purpose="output", app=row.app_id, permission="view", seconds=signed_links.OUTPUT_SECONDS
    )
    return client_urls.secure(f"/streams/output/{token}")


def _rows(call: Call) -> Any:
    return TestRun.objects.filter(app__in=visible(call.actor).values("id")).select_related(
        "pipeline", "app", "check_run", "account"
    )


def _by_id(call: Call) -> TestRun:
    identity = call.params["test_run"]
    row = _rows(call).filter(pk=identity).first() if is_uuid(identity) else None
    if row is None:
        raise NotFoundError("Couldn't find that test run.", hint="heroku ci -a APP", resource="test_run")
    queries.authorise(call.actor, str(row.pipeline_id), "pipelines:read")
    return row


@route("GET", "/pipelines/{pipeline}/test-runs", "pipelines:read", paged="number", returns="[test-run]")
def list_test_runs(call: Call) -> Listing | list[dict[str, Any]]:
    """List the newest test runs of the pipeline's apps visible to the caller, newest first."""
    wanted = call.request.headers.get("Range", "").replace(" ", "")
    # ``ci:last`` requests one row, and would follow Next-Range through all of them
    rows = _rows(call).filter(pipeline=call.pipeline)
    if wanted.startswith("number..") and "order=desc" in wanted and ONE.search(wanted):
        return [_test_run(row) for row in rows.order_by("-number")[:1]]
    return Listing(rows, each(_test_run), "-number", {"number": "number", **USUAL})


@route("GET", "/pipelines/{pipeline}/test-runs/{number}", "pipelines:read", returns="test-run")
def get_test_run(call: Call) -> dict[str, Any]:
    """Get one test run by its number."""
    number = call.params["number"]
    row = (
        _rows(call).filter(pipeline=call.pipeline, number=int(number)).first()
        if number.isdecimal() and len(number) < 9
        else None
    )
    if row is None:
        raise NotFoundError(
            f"The pipeline {call.pipeline.name} has no test run {number[:20]}.",
            hint="heroku ci -a APP",
            resource="test_run",
        )
    _slow_down(row)
    return _test_run(row)


def _slow_down(row: TestRun) -> None:
    """Delay the response: ``heroku ci:run`` polls without a pause until the state changes, which would exhaust the rate
    limit.
    """
    if _status(row) not in rules.TEST_ENDED:
        time.sleep(PAUSE)
        row.refresh_from_db()


@route("GET", "/test-runs/{test_run}", "account:read", also="pipelines:read", returns="test-run")
def get_test_run_by_id(call: Call) -> dict[str, Any]:
    """Get one test run by its id."""
    return _test_run(_by_id(call))


@route("GET", "/test-runs/{test_run}/test-nodes", "account:read", also="pipelines:read", returns="[test-node]")
def list_nodes(call: Call) -> list[dict[str, Any]]:
    """List its single test node, with links to the output before and during its tests."""
    return [_node(_by_id(call))]


@route(
    "POST", "/test-runs", "account:write", also="pipelines:test push", takes="test-run.create", returns="201 test-run"
)
def start_test_run(call: Call) -> Reply:
    """Run the tests of an archive uploaded to ``POST /sources``.

    {pipeline, source_blob_url, commit_sha, commit_branch, commit_message}. It is built and tested in the pipeline's
    first app, with the pipeline's test config vars; the named commit's checks are unaffected.
    """
    if call.body.get("debug") is True:
        raise UserError("ci:debug is not supported.", hint="heroku run bash -a APP")
    pipeline = queries.authorise(call.actor, named(call.body.get("pipeline"), "pipeline"), "pipelines:test")
    parent = queries.parent_app(pipeline)
    if parent is not None:
        authorise(call.actor, str(parent.pk), "push")  # its code runs in the name of this app
    tarball = git.uploaded_archive(call.text("source_blob_url", required=True), home=HOME, key=settings.SECRET_KEY)
    if tarball is None:
        raise UserError(
            "source_blob_url must be a get_url of this installation: other URLs are not fetched.",
            hint="POST /sources, then PUT the archive",
        )
    row = test_runs.start(
        actor=call.actor,
        pipeline=pipeline,
        home=HOME,
        tarball=tarball,
        commit_sha=call.text("commit_sha", required=True),
        commit_branch=call.text("commit_branch", required=True),
        commit_message=call.text("commit_message"),
    )
    return Reply(_test_run(_rows(call).get(pk=row.pk)), 201)


@route(
    "PATCH",
    "/test-runs/{test_run}",
    "account:write",
    also="pipelines:test push",
    takes="test-run.update",
    returns="test-run",
)
def update_test_run(call: Call) -> dict[str, Any]:
    """Cancel the test run of an archive: {status: "cancelled"}."""
    row = _by_id(call)
    queries.authorise(call.actor, str(row.pipeline_id), "pipelines:test")
    authorise(call.actor, str(row.app_id), "push")
    if call.text("status", required=True) != "cancelled":
        raise UserError("status can only be cancelled.", hint='{"status": "cancelled"}')
    test_runs.cancel(actor=call.actor, row=row, engine=engine())
    return _test_run(_by_id(call))


@route("GET", "/pipelines/{pipeline}/repository", "pipelines:read", returns="pipeline-repository")
def repository(call: Call) -> dict[str, Any]:
    """The repository of the pipeline's first app, in the format of kolkrabbi.heroku.com for the Heroku CLI."""
    app = queries.parent_app(call.pipeline)
    if app is None or not visible(call.actor).filter(pk=app.pk).exists():
        raise NotFoundError(f"The pipeline {call.pipeline.name} has no app with a repository.", resource="repository")
    return {
        "id": str(app.pk),
        "repository": {"id": str(app.pk), "name": f"greenroom/{app.name}", "type": "greenroom"},
        "organization": None,
        "owner": {"id": str(app.owner_id)},
        "ci": True,
    }
