"""The API of external findings (SARIF), ignored findings, and the gate's policy."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Any

from greenroom.apps.queries import authorise
from greenroom.basics.clock import heroku_time
from greenroom.basics.errors import NotFoundError, UserError
from greenroom.checks import queries
from greenroom.checks.actions import policies, sarif_uploads
from greenroom.checks.models import CheckRun, GatePolicy, Ignore
from greenroom.checks.rules import sarif_import
from greenroom.deliveries import queries as delivery_queries
from greenroom.deliveries.actions import gate
from greenroom.deliveries.queries import representation
from greenroom.entrypoints.api.listing import Listing, each
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route
from greenroom.entrypoints.api.views_gate import commit_of
from greenroom.git import queries as git

MAX_BODY = sarif_import.MAX_BYTES


def _body(call: Call) -> bytes:
    """The request's body, read here because a SARIF log may exceed the usual size limit."""
    data = call.request.read(MAX_BODY + 1)
    if len(data) > MAX_BODY:
        raise UserError(f"The SARIF log is larger than {MAX_BODY >> 20} MB.", hint="gzip it", id="bad_sarif")
    return bytes(data)


def _wish(call: Call) -> tuple[dict[str, Any], bytes]:
    """(parameters, log): a JSON object with ``sarif`` in base64, or the log itself (plain or gzipped) with query
    parameters.
    """
    data = _body(call)
    if call.request.content_type != "application/json":
        return {key: call.query(key) for key in ("sha", "name", "root")}, data
    try:
        wish = json.loads(data)
        log = base64.b64decode(wish.pop("sarif"), validate=True)
    except (ValueError, TypeError, AttributeError, KeyError, binascii.Error) as error:
        raise UserError(
            "The body must be a JSON object with `sarif`: the log, gzipped or not, in base64.",
            hint="or send the log itself as application/sarif+json",
            id="bad_sarif",
        ) from error
    bad = next((key for key, value in wish.items() if value is not None and not isinstance(value, str)), None)
    if bad:
        raise UserError(f"{bad[:60]} must be a string.")
    return wish, log


def _uploaded(call: Call, sha: str, log: bytes, name: str, roots: list[str]) -> list[CheckRun]:
    scans = sarif_uploads.one_of(sarif_import.read(log, roots), name)
    for check, _ in scans:
        authorise(call.actor, call.app.name, "checks:report", check=check)
    return gate.upload_scans(actor=call.actor, app=call.app, sha=sha, home=HOME, scans=scans)


@route("POST", "/apps/{app}/scans", "checks:report", raw=True, query=("sha", "name", "root"), returns="201 [scan]")
def upload(call: Call) -> Reply:
    """Upload findings as SARIF 2.1.0.

    {sha, name, root, sarif}, or the log as the body with ``?sha=&name=&root=``.
    """
    wish, log = _wish(call)
    sha = commit_of(call, wish.get("sha") or "")
    runs = _uploaded(call, sha, log, wish.get("name") or "", [wish["root"]] if wish.get("root") else [])
    needed = delivery_queries.required_of(call.app, sha)
    return Reply(
        [
            representation.check_json(run, needed) | {"notes": run.notes, "annotations_count": run.annotations.count()}
            for run in runs
        ],
        201,
    )


@route(
    "POST", "/api/v3/repos/{owner}/{app}/code-scanning/sarifs", "checks:report", raw=True, returns="202 github.sarif"
)
def upload_as_to_github(call: Call) -> Reply:
    """Upload findings in GitHub's format: {commit_sha, ref, sarif (gzipped, base64), checkout_uri, tool_name}."""
    wish, log = _wish(call)
    sha = str(wish.get("commit_sha") or "").lower()
    if len(sha) != 40 or git.resolve(call.app, HOME, sha) != sha:
        raise UserError(
            f"No commit found for SHA: {sha[:60]}", resource="commit", hint="push it first, then report on it"
        )
    root = str(wish.get("checkout_uri") or "").removeprefix("file://")
    runs = _uploaded(call, sha, log, "", [root] if root else [])
    number = str(runs[0].number)
    return Reply({"id": number, "url": f"{call.request.path}/{number}"}, 202)


@route("GET", "/api/v3/repos/{owner}/{app}/code-scanning/sarifs/{number}", "checks:read", returns="github.sarif-state")
def state_of_upload(call: Call) -> dict[str, Any]:
    """The state of an upload: always ``complete``, because it is processed immediately."""
    run = queries.of_number(call.app, call.params["number"])
    if "sarif" not in run.data:
        raise NotFoundError("Couldn't find that SARIF log.", resource="check")
    return {"processing_status": "complete", "analyses_url": None, "errors": None}


def _ignore(row: Ignore) -> dict[str, Any]:
    return {
        "fingerprint": row.fingerprint,
        "tool": row.tool,
        "rule": row.rule,
        "path": row.path,
        "reason": row.reason,
        "actor": row.actor,
        "until": heroku_time(row.until),
        "created_at": heroku_time(row.created_at),
        "expired": row.until <= datetime.now(UTC),
    }


@route("GET", "/apps/{app}/ignores", "view", returns="[ignore]")
def list_ignores(call: Call) -> Listing:
    """List the ignored findings, including expired ones."""
    return Listing(
        Ignore.objects.filter(app=call.app, ended_at=None),
        each(_ignore),
        "until",
        {"until": "until", "created_at": "created_at"},
    )


@route("POST", "/apps/{app}/ignores", "override", takes="ignore.create", returns="201 ignore")
def ignore(call: Call) -> Reply:
    """Ignore a finding until a date: {fingerprint, reason, until}; recorded permanently."""
    text = call.text("until", required=True)
    try:
        until = datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(
            f"until is not a valid time: {text[:40]!r}.", hint="for example 2026-12-31T18:00:00Z"
        ) from error
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    fingerprint, reason = call.text("fingerprint", required=True), call.text("reason", required=True)
    row = policies.ignore(app=call.app, fingerprint=fingerprint, reason=reason, until=until, actor=call.actor)
    return Reply(_ignore(row), 201)


@route("DELETE", "/apps/{app}/ignores/{fingerprint}", "override", returns="ignore")
def unignore(call: Call) -> dict[str, Any]:
    """Stop ignoring a finding."""
    return _ignore(policies.unignore(app=call.app, fingerprint=call.params["fingerprint"], actor=call.actor))


def _policy(row: GatePolicy) -> dict[str, Any]:
    return {"two_people": row.two_people, "stale_after": row.stale_after}


@route("GET", "/apps/{app}/gate", "view", returns="gate-policy")
def show_policy(call: Call) -> dict[str, Any]:
    """The gate's policy: {two_people, stale_after (minutes)}."""
    return _policy(queries.policy(call.app))


@route("PATCH", "/apps/{app}/gate", "settings", takes="gate-policy.update", returns="gate-policy")
def change_policy(call: Call) -> dict[str, Any]:
    """Change the gate's policy: {two_people, stale_after (minutes)}; each is optional."""
    unknown = sorted(set(call.body) - {"two_people", "stale_after"})
    two, stale = call.body.get("two_people"), call.body.get("stale_after")
    if unknown or not isinstance(two, bool | None) or isinstance(stale, bool) or not isinstance(stale, int | None):
        raise UserError(
            f"Unknown key: {unknown[0][:60]}."
            if unknown
            else "two_people is true or false, stale_after a number of minutes."
        )
    return _policy(policies.change_policy(app=call.app, actor=call.actor, two_people=two, stale_after=stale))
