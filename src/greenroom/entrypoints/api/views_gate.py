"""The API of deliveries, checks, overrides, migrations and log sessions."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from greenroom.app_migrations import queries as migrations
from greenroom.apps.models import App
from greenroom.basics.errors import NotFoundError, UserError
from greenroom.basics.ids import is_uuid
from greenroom.checks import queries as check_queries
from greenroom.checks.models import CheckRun, Override
from greenroom.checks.rules import sarif
from greenroom.deliveries import queries as delivery_queries
from greenroom.deliveries.actions import gate
from greenroom.deliveries.actions import held as holding
from greenroom.deliveries.actions.retries import retry
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.queries import representation
from greenroom.deliveries.queries.remedies import hint_of, remedy_of
from greenroom.dynos import queries as dynos
from greenroom.entrypoints.api import client_urls, shapes, signed_links, views_rehearsals
from greenroom.entrypoints.api.listing import USUAL, Listing, each
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route
from greenroom.git import queries as git


def transcript_url(row: Delivery) -> str:
    """The URL that streams a delivery's transcript."""
    return output_url(row.app_id, row.transcript)


def output_url(app: UUID, file: str) -> str:
    """The URL that streams a growing file, relative to home; it is complete once its ``.done`` file exists."""
    token = signed_links.signed(
        {"file": file, "done": f"{file}.done"},
        purpose="output",
        app=app,
        permission="view",
        seconds=signed_links.OUTPUT_SECONDS,
    )
    return client_urls.plain(f"/streams/output/{token}")


@route("GET", "/apps/{app}/deliveries", "view", returns="[delivery]", query=("sha", "limit"))
def list_deliveries(call: Call) -> Listing:
    """List deliveries of pushes, config changes and rollbacks; ``?sha=`` and ``?limit=``."""
    rows = delivery_queries.of_app(call.app)
    sha = call.query("sha").lower()
    if sha:
        rows = rows.filter(sha__startswith=sha, kind="push")
    return Listing(rows, lambda page: _deliveries(call.app, page), "-seq", {"seq": "seq", **USUAL}, size=20)


def _deliveries(app: App, rows: list[Delivery]) -> list[dict[str, Any]]:
    known = representation.around(app, rows)
    return [_delivery(row, known) for row in rows]


def _delivery(row: Delivery, known: representation.Known | None = None) -> dict[str, Any]:
    about = {"hint": hint_of(row) or None, "remedy": remedy_of(row) or None, "transcript_url": transcript_url(row)}
    return {**representation.as_json(row, known), **about}


@route("GET", "/apps/{app}/deliveries/{delivery}", "view", returns="delivery")
def get_delivery(call: Call) -> dict[str, Any]:
    """Get one delivery by id or commit."""
    return _delivery(delivery_queries.by_id(call.app, call.params["delivery"]))


@route("POST", "/apps/{app}/deliveries/{delivery}/actions/retry", "release", returns="202 delivery")
def retry_delivery(call: Call) -> Reply:
    """Retry a failed delivery from its first failed step, with the present config vars."""
    wanted = delivery_queries.by_id(call.app, call.params["delivery"])
    row = retry(actor=call.actor, delivery=wanted, home=HOME)
    return Reply(_delivery(delivery_queries.by_id(call.app, str(row.id))), 202)


@route("POST", "/apps/{app}/deliveries/{delivery}/actions/drop", "release", returns="delivery")
def drop_delivery(call: Call) -> dict[str, Any]:
    """Drop the release that is held for its migrations; the live release is unaffected."""
    wanted = delivery_queries.by_id(call.app, call.params["delivery"])
    return _delivery(holding.drop(actor=call.actor, app=call.app, home=HOME, wanted=wanted))


def commit_of(call: Call, text: str) -> str:
    """The full SHA of the commit that the caller named; by default, of the newest push."""
    if not text:
        newest = Delivery.objects.filter(app=call.app, kind="push").order_by("-seq").first()
        if newest is None:
            raise NotFoundError(
                f"Nothing has been pushed to {call.app.name} yet.", hint="git push greenroom HEAD:master"
            )
        return newest.sha
    found = git.resolve(call.app, HOME, text)
    if found is None:
        raise NotFoundError(f"No commit found for SHA: {text[:60]}.", resource="commit")
    return found


@route("GET", "/apps/{app}/checks", "view", returns="[check]", query=("sha",))
def list_checks(call: Call) -> list[dict[str, Any]]:
    """List the newest attempt of each check of ``?sha=``, or of the newest push."""
    sha = commit_of(call, call.query("sha"))
    needed = delivery_queries.required_of(call.app, sha)
    rows = check_queries.latest(call.app, sha)
    counts = check_queries.counts(rows)
    return [{**representation.check_json(row, needed), "annotations_count": counts.get(row.pk, 0)} for row in rows]


@route("GET", "/apps/{app}/checks/{check}/annotations", "view", returns="[annotation]")
def list_annotations(call: Call) -> Listing:
    """List the findings of one check run: new ones first, then by severity, path and line."""
    return Listing(check_queries.ranked(_check(call)), each(shapes.annotation), "place", {"place": "place"})


@route("GET", "/apps/{app}/checks/{check}/sarif", "view", returns="sarif")
def sarif_of_check(call: Call) -> Reply:
    """The findings of one check run as SARIF 2.1.0."""
    run = _check(call)
    versions = sarif.versions(run.data)
    findings = [
        {key: getattr(row, key) for key in sarif.FIELDS} for row in check_queries.findings(run, limit=sarif.MAX_RESULTS)
    ]
    log = sarif.log_of(name=run.name, sha=run.sha, conclusion=run.conclusion, findings=findings, versions=versions)
    return Reply(log, headers={"Content-Type": sarif.KIND})


def _check(call: Call) -> CheckRun:
    name = call.params["check"]
    found = CheckRun.objects.filter(app=call.app, pk=name).first() if is_uuid(name) else None
    if found is None:
        raise NotFoundError("Couldn't find that check run.", resource="check")
    return found


@route("POST", "/apps/{app}/checks/actions/rerun", "rerun", takes="checks.rerun", returns="[check]")
def rerun(call: Call) -> list[dict[str, Any]]:
    """Rerun a check on the same slug: {name, sha}; without a name, all that are not green."""
    sha = commit_of(call, call.text("sha"))
    gate.rerun(app=call.app, sha=sha, actor=call.actor, name=call.text("name") or None, home=HOME)
    needed = delivery_queries.required_of(call.app, sha)
    return [representation.check_json(row, needed) for row in check_queries.latest(call.app, sha)]


@route("POST", "/apps/{app}/overrides", "override", takes="override.create", returns="201 override")
def override(call: Call) -> Reply:
    """Override checks of one commit: {sha, checks, reason}; recorded permanently."""
    names = call.body.get("checks") or []
    if isinstance(names, str):
        names = [names]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError("checks must be a list of names.")
    sha = commit_of(call, call.text("sha", required=True))
    reason = call.text("reason", required=True)
    row = gate.override(app=call.app, sha=sha, names=names, reason=reason, actor=call.actor, home=HOME)
    return Reply(_override(row, True), 201)


@route("GET", "/apps/{app}/overrides", "view", returns="[override]", query=("sha",))
def list_overrides(call: Call) -> list[dict[str, Any]]:
    """List all overrides of ``?sha=``, or of the newest push, oldest first.

    ``holds``: no check of the commit was rerun since.
    """
    return [
        _override(row, holds) for row, holds in check_queries.overrides(call.app, commit_of(call, call.query("sha")))
    ]


def _override(row: Override, holds: bool) -> dict[str, Any]:
    return {
        "sha": row.sha,
        "checks": row.checks,
        "reason": row.reason,
        "actor": row.actor,
        "holds": holds,
        "created_at": shapes.heroku_time(row.created_at),
    }


@route("GET", "/apps/{app}/migrations", "view", returns="migrations")
def list_migrations(call: Call) -> dict[str, Any]:
    """List pending migrations of the held release, else of the live one, and past migrate commands."""
    held = dynos.held(call.app)
    rollout = held or dynos.live(call.app)
    state = migrations.of_release(rollout.release) if rollout else None
    version = rollout.release.version if rollout else None
    row = migrations.rehearsals_of(call.app).first()
    newest = views_rehearsals.shape(row) if row else None
    none = rollout is not None and rollout.release.slug is not None and not migrations.framework(rollout.release)
    found = shapes.migrations(state, version, list(migrations.runs(call.app)[:20]), held=held is not None, none=none)
    return found | {"rehearsal": newest}


@route("POST", "/apps/{app}/log-sessions", "logs", takes="log-session.create", returns="201 log-session")
def log_session(call: Call) -> Reply:
    """Create a log session, a URL for reading the log: {lines, tail, dyno or type, source}."""
    lines = call.body.get("lines")
    if lines is not None and (not isinstance(lines, int) or isinstance(lines, bool) or not 0 <= lines <= 100_000):
        raise UserError("lines must be a number from 0 to 100000.")
    payload = {
        "app": call.app.id.hex,
        "lines": 100 if lines is None else lines,
        "tail": call.body.get("tail") in (True, 1),
        "dyno": call.text("dyno") or call.text("type") or call.text("dyno_name"),
        "source": call.text("source"),
    }
    token = signed_links.signed(
        payload, purpose="logs", app=call.app.id, permission="logs", seconds=signed_links.LOG_SECONDS
    )
    body = {
        "id": str(call.app.id),
        "logplex_url": client_urls.plain(f"/streams/logs/{token}"),
        "created_at": shapes.heroku_time(call.app.created_at),
        "updated_at": shapes.heroku_time(call.app.updated_at),
    }
    return Reply(body, 201)
