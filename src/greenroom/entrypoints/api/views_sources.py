"""The API of an app's source, and the public webhook endpoint ``/hooks/ID``, which verifies the signature before it
parses the body.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings

from greenroom.basics.clock import heroku_time
from greenroom.basics.errors import GreenroomError, NotFoundError, UnauthorizedError, UserError
from greenroom.basics.text import printable
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route
from greenroom.sources import actions, forges, queries, rules
from greenroom.sources.models import HookCall, Report, Source


class TooLargeError(UserError):
    """A webhook call larger than any that forges send."""

    id = "too_large"
    status = 413


class BadCallError(UserError):
    """A signed call with an invalid payload."""

    id = "bad_request"
    status = 400


def _shown(call: Call, row: Source) -> dict[str, Any]:
    path = f"/hooks/{row.hook}"
    held = row.previous_until if row.previous else None
    return {
        "id": str(row.pk),
        "app": {"id": str(row.app_id), "name": row.app.name},
        "url": row.url,
        "branch": row.branch,
        "kind": row.kind,
        "protected_branch": row.app.protected_branch,
        "state": row.state,
        "problem": row.problem or None,
        "hint": row.hint or None,
        "seen": row.seen or None,
        "taken": row.taken or None,
        "interval": row.interval,
        "api": row.api or None,
        "credentials": {
            "deploy_key": row.public_key or None,
            "fingerprint": rules.fingerprint(row.public_key) or None,
            "token": bool(row.token),
            "username": row.username or None,
        },
        "known_hosts": [{"key": line, "fingerprint": rules.fingerprint(line)} for line in row.known_hosts.splitlines()],
        "webhook": {
            "path": path,
            "url": call.request.build_absolute_uri(path),
            "how": forges.find(row.kind).advice,
            "previous_secret_until": heroku_time(held),
        },
        "waiting": bool(row.wanted_at and (row.looked_at is None or row.looked_at < row.wanted_at)),
        "looked_at": heroku_time(row.looked_at),
        "next_at": heroku_time(row.next_at),
        "wanted_at": heroku_time(row.wanted_at),
        "set_by": {"email": row.account.email if row.account else ""},
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


def _call(row: HookCall) -> dict[str, Any]:
    return {"delivery": row.delivery, "event": row.event, "said": row.said, "at": heroku_time(row.at)}


def _report(row: Report) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "context": row.context,
        "state": row.state,
        "description": row.description,
        "sha": row.delivery.sha,
        "status": row.status,
        "attempts": row.attempts,
        "code": row.code,
        "error": row.error or None,
        "next_at": heroku_time(row.next_at),
        "at": heroku_time(row.updated_at),
    }


@route("GET", "/apps/{app}/source", "view", returns="app-source.whole")
def get_source(call: Call) -> dict[str, Any]:
    """Get the app's source, with its newest webhook calls and reports. Secrets are never shown."""
    row = queries.of_app(call.app)
    shown = _shown(call, row)
    if not _may_change(call):
        shown["webhook"] = None
    return {
        **shown,
        "calls": [_call(one) for one in queries.calls(row)],
        "reports": [_report(one) for one in queries.reports(row)],
    }


def _may_change(call: Call) -> bool:
    from greenroom.apps.queries import authorise

    try:
        authorise(call.actor, call.app.name, "source:write")
    except GreenroomError:
        return False
    return True


@route("PUT", "/apps/{app}/source", "source:write", takes="app-source.set", returns="200/201 app-source.told")
def set_source(call: Call) -> Reply:
    """Follow a repository.

    {url, branch, kind, token, username, deploy_key, known_hosts, interval, api}. The secret of a new webhook is shown
    only once.
    """
    given = {
        name: call.text(name)
        for name in ("token", "username", "deploy_key", "known_hosts", "api")
        if call.body.get(name) is not None
    }
    interval = call.body.get("interval")
    if interval is not None and (not isinstance(interval, int) or isinstance(interval, bool)):
        raise UserError("interval must be a whole number of seconds.")
    wish = actions.Wish(
        url=call.text("url", required=True),
        branch=call.text("branch"),
        kind=call.text("kind"),
        interval=interval,
        **given,
    )
    row, secret = actions.set_source(
        actor=call.actor, app=call.app, home=HOME, wish=wish, allowed=settings.PRIVATE_TARGETS
    )
    return Reply({**_shown(call, row), "secret": secret or None}, 201 if secret else 200)


@route("DELETE", "/apps/{app}/source", "source:write", returns="app-source")
def unset_source(call: Call) -> dict[str, Any]:
    """Remove the source; the app accepts pushes again."""
    body = _shown(call, queries.of_app(call.app))
    actions.unset(actor=call.actor, app=call.app)
    return body


@route("POST", "/apps/{app}/source/actions/sync", "push", returns="202 app-source")
def sync_source(call: Call) -> Reply:
    """Request a fetch by the worker; ``looked_at`` has the time of the last one."""
    row = queries.of_app(call.app)
    actions.ask(source=row)
    return Reply(_shown(call, queries.of_app(call.app)), 202)


@route("POST", "/apps/{app}/source/actions/accept", "source:write", takes="app-source.accept", returns="202 app-source")
def accept_rewrite(call: Call) -> Reply:
    """Accept a rewritten branch: {commit}, at least 7 digits of its present commit."""
    return Reply(
        _shown(call, actions.accept(actor=call.actor, app=call.app, commit=call.text("commit", required=True))), 202
    )


@route(
    "POST",
    "/apps/{app}/source/actions/rotate-secret",
    "source:write",
    takes="app-source.rotate",
    returns="app-source.told",
)
def rotate_secret(call: Call) -> dict[str, Any]:
    """Rotate the webhook's secret: {overlap_hours}, default 24, in which the previous one stays valid."""
    hours = call.body.get("overlap_hours", rules.OVERLAP_HOURS)
    if not isinstance(hours, int | float) or isinstance(hours, bool):
        raise UserError("overlap_hours must be a number.")
    row, secret = actions.rotate_secret(actor=call.actor, app=call.app, home=HOME, hours=hours)
    return {**_shown(call, row), "secret": secret}


# ---- the webhook endpoint ------------------------------------------------------------------------------------------


@route("POST", "/hooks/{id}", "public", raw=True, returns="200/202 message")
def take_hook(call: Call) -> Reply:
    """Receive a forge's webhook call, which triggers a fetch.

    Commits come from the fetch, not from the payload. The body of an unsigned call is not parsed.
    """
    source = queries.of_hook(call.params["id"])
    if source is None:
        raise NotFoundError("There is no such webhook.", hint="greenroom source -a APP shows its URL")
    body = _bytes(call)
    headers = {name.lower(): value for name, value in call.request.headers.items()}
    if not forges.genuine(headers, body, actions.secrets_of(source, HOME)):
        raise UnauthorizedError(
            "The signature is missing or does not hold.",
            hint="the secret is printed by: greenroom source:rotate-secret",
        )
    what = forges.call_of(headers)
    look, said = rules.answer_of(what.event, _payload(call, body), source.branch)
    if not actions.note_call(source=source, call=what, look=look, said=said):
        return Reply({"message": "already seen"})
    return Reply({"message": printable(said, 300, one_line=True)}, 202 if look else 200)


def _bytes(call: Call) -> bytes:
    """The raw body, at most 25 MB."""
    length = call.request.headers.get("Content-Length", "")
    body = b"" if length.isdigit() and int(length) > rules.MAX_BODY else call.request.read(rules.MAX_BODY + 1)
    if len(body) > rules.MAX_BODY or (length.isdigit() and int(length) > rules.MAX_BODY):
        raise TooLargeError(f"A call may have {rules.MAX_BODY // 2**20} MB.")
    return body


def _payload(call: Call, body: bytes) -> Any:
    """The JSON of a signed call, which may be in a form field ``payload``."""
    kind = call.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/x-www-form-urlencoded":
            body = parse_qs(body.decode(), max_num_fields=20)["payload"][0].encode()
        return json.loads(body)
    except (ValueError, KeyError, RecursionError) as error:
        raise BadCallError(f"The call is genuine, but its payload is not JSON: {type(error).__name__}.") from error
