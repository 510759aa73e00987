"""External statuses and check runs, compatible with GitHub's REST API, so that its clients work with Greenroom
unchanged.

``owner`` may be any name, ``app`` is the app's name. Limits and errors are GitHub's where they are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet

from greenroom.apps.queries import authorise
from greenroom.basics.errors import NotFoundError, UserError
from greenroom.checks import queries, rules
from greenroom.checks.models import CheckRun
from greenroom.deliveries import queries as delivery_queries
from greenroom.deliveries.actions import gate
from greenroom.entrypoints.api import shapes_github as shapes
from greenroom.entrypoints.api.github_requests import Asked
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route
from greenroom.git import queries as git
from greenroom.git.rules import canonical, is_sha

REPO = "/api/v3/repos/{owner}/{app}"
PER_PAGE = 30
PAGES = ("page", "per_page")


def _commit(call: Call, sha: str) -> str:
    """The commit of a report: all 40 digits, and in the app's repository."""
    text = sha.lower()
    if not is_sha(text) or git.resolve(call.app, HOME, text) != text:
        raise UserError(
            f"No commit found for SHA: {sha[:60]}", resource="commit", hint="push it first, then report on it"
        )
    return text


def _ref(call: Call) -> str:
    """The commit of a query: a SHA, a branch (``heads/x``) or a tag (``tags/x``)."""
    text = call.params["ref"].removeprefix("refs/").removeprefix("tags/")
    if text.startswith("heads/"):
        text = text.removeprefix("heads/")
    text = canonical(f"refs/heads/{text}", call.app.protected_branch).removeprefix("refs/heads/")
    found = git.resolve(call.app, HOME, text)
    if found is None:
        raise NotFoundError(f"No commit found for SHA: {call.params['ref'][:60]}", resource="commit")
    return found


def _page(call: Call, rows: Sequence[Any] | QuerySet[Any]) -> tuple[list[Any], dict[str, str]]:
    """The rows of ``?page=`` and ``?per_page=`` (30, at most 100), and the Link header for the next pages."""
    given = [call.query(name) for name in ("per_page", "page")]
    size, number = (
        int(text) if text.isdecimal() and len(text) < 7 and int(text) else usual
        for text, usual in zip(given, (PER_PAGE, 1), strict=True)
    )
    size = min(size, 100)
    start = (number - 1) * size
    headers = {}
    page = list(rows[start : start + size + 1])
    if len(page) > size:
        query = call.request.GET.copy()
        query["page"] = str(number + 1)
        headers["Link"] = f'<{shapes.root()}{call.request.path}?{query.urlencode()}>; rel="next"'
    return page[:size], headers


def _may(call: Call, name: str) -> None:
    """Require that the token may report this check."""
    authorise(call.actor, call.app.name, "checks:report", check=name)


@route("POST", REPO + "/statuses/{sha}", "checks:report", takes="github.status.create", returns="201 github.status")
def create_status(call: Call) -> Reply:
    """Report a commit status: {state, context, description, target_url}."""
    asked = Asked(call.body, "Status")
    state = asked.one_of("state", ("error", "failure", "pending", "success"), required=True)
    context = asked.text("context", 100) or "default"
    words = {"description": asked.text("description", 140), "target_url": asked.url("target_url")}
    asked.done()
    _may(call, context)
    sha = _commit(call, call.params["sha"])
    row = gate.add_status(app=call.app, sha=sha, home=HOME, context=context, state=state, actor=call.actor, **words)
    return Reply(shapes.status(row, call.params["owner"]), 201)


@route("GET", REPO + "/commits/{ref}/status", "checks:read", wide="ref", returns="github.combined-status", query=PAGES)
def combined_status(call: Call) -> Reply:
    """The newest status of each context, and their combined state."""
    sha = _ref(call)
    rows = queries.newest_statuses(call.app, sha)
    page, headers = _page(call, rows)
    needed = delivery_queries.required_of(call.app, sha)
    body = shapes.combined(rows, page, sha=sha, owner=call.params["owner"], app=call.app, required=needed)
    return Reply(body, 200, headers)


@route("GET", REPO + "/commits/{ref}/statuses", "checks:read", wide="ref", returns="[github.status]", query=PAGES)
def list_statuses(call: Call) -> Reply:
    """List all statuses of a commit, newest first."""
    rows, headers = _page(call, queries.statuses(call.app, _ref(call)))
    return Reply([shapes.status(row, call.params["owner"]) for row in rows], 200, headers)


@route("GET", REPO + "/statuses/{sha}", "checks:read", returns="[github.status]", query=PAGES)
def list_statuses_by_their_old_name(call: Call) -> Reply:
    """List the same statuses at GitHub's older path."""
    call.params["ref"] = call.params["sha"]
    return list_statuses(call)


@route("POST", REPO + "/check-runs", "checks:report", takes="github.check-run.create", returns="201 github.check-run")
def create_check_run(call: Call) -> Reply:
    """Create a check run.

    {name, head_sha, status, conclusion, details_url, external_id, started_at, completed_at, output}.
    """
    asked = Asked(call.body, "CheckRun")
    name, head = asked.text("name", 100, required=True), asked.text("head_sha", 60, required=True)
    status, conclusion = asked.progress()
    words, annotations = asked.words(), asked.annotations()
    asked.done()
    _may(call, name)
    sha = _commit(call, head)
    row = gate.open_run(
        app=call.app,
        home=HOME,
        sha=sha,
        name=name,
        status=status or "queued",
        conclusion=conclusion,
        words=words,
        annotations=annotations,
        actor=call.actor,
    )
    return Reply(_shown(call, row), 201)


@route(
    "PATCH", REPO + "/check-runs/{number}", "checks:report", takes="github.check-run.update", returns="github.check-run"
)
def change_check_run(call: Call) -> dict[str, Any]:
    """Update a check run or add annotations: the fields of its creation except head_sha."""
    row = queries.of_number(call.app, call.params["number"])
    _may(call, row.name)
    asked = Asked(call.body, "CheckRun")
    name = asked.text("name", 100)
    if name and rules.key(name) != rules.key(row.name):
        asked.wrong("name", "the name of a check run cannot be changed")
    status, conclusion = asked.progress()
    words, annotations = asked.words(), asked.annotations()
    asked.done()
    row = gate.change_run(
        app=call.app,
        home=HOME,
        run=row,
        status=status,
        conclusion=conclusion,
        words=words,
        annotations=annotations,
        actor=call.actor,
    )
    return _shown(call, row)


@route("GET", REPO + "/check-runs/{number}", "checks:read", returns="github.check-run")
def get_check_run(call: Call) -> dict[str, Any]:
    """Get one check run by its number."""
    return _shown(call, queries.of_number(call.app, call.params["number"]))


@route("POST", REPO + "/check-runs/{number}/rerequest", "checks:report", returns="201 object")
def rerequest_check_run(call: Call) -> Reply:
    """Request another attempt of a check.

    This run keeps its result, and the new one waits for a report. Greenroom runs builtin checks itself.
    """
    row = queries.of_number(call.app, call.params["number"])
    if row.builtin:
        authorise(call.actor, call.app.name, "rerun")
    else:
        _may(call, row.name)
    newest = queries.latest_of(call.app, row.sha, row.name)
    if newest and newest.status != "completed":
        raise UserError(
            f"Check run {newest.number} of {row.name} has not ended yet.", resource="check", hint="wait for it"
        )
    gate.rerun(app=call.app, sha=row.sha, actor=call.actor, name=row.name, home=HOME)
    return Reply({}, 201)


@route("GET", REPO + "/check-runs/{number}/annotations", "checks:read", returns="[github.annotation]", query=PAGES)
def list_check_run_annotations(call: Call) -> Reply:
    """List the findings of a check run."""
    row = queries.of_number(call.app, call.params["number"])
    rows, headers = _page(call, row.annotations.select_related("check_run__app").order_by("id"))
    return Reply([shapes.annotation(item, call.params["owner"]) for item in rows], 200, headers)


@route(
    "GET",
    REPO + "/commits/{ref}/check-runs",
    "checks:read",
    wide="ref",
    returns="github.check-runs",
    query=(*PAGES, "check_name", "status", "filter"),
)
def list_check_runs(call: Call) -> Reply:
    """List the check runs of a commit: ?check_name, ?status, ?filter=latest|all."""
    rows = queries.history(call.app, sha=_ref(call), name=call.query("check_name"), limit=10_000)
    if call.query("filter") != "all":
        newest: dict[str, CheckRun] = {}
        for row in sorted(rows, key=lambda row: -row.attempt):
            newest.setdefault(rules.key(row.name), row)
        rows = [row for row in rows if newest[rules.key(row.name)].pk == row.pk]
    if call.query("status"):
        rows = [row for row in rows if row.status == call.query("status")]
    page, headers = _page(call, rows)
    counts = queries.counts(page)
    shown = [shapes.check_run(row, call.params["owner"], counts.get(row.pk, 0)) for row in page]
    return Reply({"total_count": len(rows), "check_runs": shown}, 200, headers)


def _shown(call: Call, row: CheckRun) -> dict[str, Any]:
    return shapes.check_run(row, call.params["owner"], queries.counts([row]).get(row.pk, 0))
