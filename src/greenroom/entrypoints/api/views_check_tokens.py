"""The API of check tokens, which may only report some checks of one app, and of checks pinned to one of them."""

from __future__ import annotations

from typing import Any

from greenroom.accounts import actions as accounts
from greenroom.accounts.models import Token
from greenroom.basics.clock import heroku_time
from greenroom.basics.errors import NotFoundError, UserError
from greenroom.checks import queries, rules
from greenroom.checks.actions import external_reports
from greenroom.entrypoints.api.listing import Listing, each
from greenroom.entrypoints.api.routing import Call, Reply, route


def _shown(row: Token, pins: dict[str, str], plain: str = "") -> dict[str, Any]:
    pinned = [name for name in row.checks if pins.get(rules.key(name)) == str(row.id)]
    return {
        "id": str(row.id),
        "token": plain or f"grm_...{row.last_four}",
        "checks": row.checks,
        "pinned": pinned,
        "description": row.description,
        "user": {"email": row.account.email},
        "created_at": heroku_time(row.created_at),
        "used_at": heroku_time(row.used_at),
        "expires_at": heroku_time(row.expires_at),
    }


@route("GET", "/apps/{app}/check-tokens", "checks:token", returns="[check-token]")
def list_tokens(call: Call) -> Listing:
    """List the app's check tokens that are not revoked, without their secret text."""
    rows = Token.objects.select_related("account").filter(app_id=call.app.id, revoked_at=None)
    pins = queries.pins(call.app)
    return Listing(rows, each(lambda row: _shown(row, pins)), "-created_at")


@route("POST", "/apps/{app}/check-tokens", "checks:token", takes="check-token.create", returns="201 check-token")
def create_token(call: Call) -> Reply:
    """Create a check token: {checks, pin, description, expires_in}.

    With pin, reports of these checks by others do not count.
    """
    names = call.body.get("checks")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError("checks must be a list of names.", hint='for example {"checks": ["ci/build"]}')
    own = [name for name in names if rules.key(name) in rules.BUILTIN]
    if own:
        raise UserError(f"Check {own[0]} is a built-in check and cannot be reported.", hint="choose another name")
    seconds = call.body.get("expires_in")
    if seconds is not None and (not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 < seconds < 10**9):
        raise UserError("expires_in must be a number of seconds above 0, or null.")
    token, plain = external_reports.create_token(
        actor=call.actor,
        app=call.app,
        names=tuple(name.strip() for name in names),
        description=call.text("description"),
        seconds=seconds,
        pinned=call.body.get("pin") is True,
    )
    return Reply(_shown(token, queries.pins(call.app), plain), 201)


@route("DELETE", "/apps/{app}/check-tokens/{token}", "checks:token", returns="check-token")
def revoke_token(call: Call) -> dict[str, Any]:
    """Revoke a check token of any creator immediately.

    Its pins stay: the checks then wait for another token or an unpin.
    """
    rows = Token.objects.select_related("account").filter(app_id=call.app.id, revoked_at=None)
    row = next((row for row in rows if str(row.id) == call.params["token"]), None)
    if row is None:
        raise NotFoundError(
            "Couldn't find that token.", hint=f"greenroom checks:tokens -a {call.app.name}", resource="token"
        )
    accounts.revoke_token(actor=call.actor, account=row.account, token_id=str(row.id))
    return _shown(row, queries.pins(call.app))


@route("DELETE", "/apps/{app}/pins/{check}", "checks:token", wide="check", returns="pin")
def unpin(call: Call) -> dict[str, Any]:
    """Unpin a check, so that reports by any token count again."""
    external_reports.unpin(app=call.app, name=call.params["check"], actor=call.actor)
    return {"check": call.params["check"], "pinned": False}
