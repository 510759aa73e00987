"""The API of accounts, tokens and the audit log."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connection

from greenroom import __version__
from greenroom.accounts import actions, queries
from greenroom.accounts.actions import rate_limits as limits
from greenroom.accounts.models import Account, AuditEntry, Token
from greenroom.accounts.rules import wider
from greenroom.apps.queries import authorise
from greenroom.basics.errors import NotFoundError, UserError
from greenroom.basics.ids import is_uuid
from greenroom.entrypoints.api import shapes
from greenroom.entrypoints.api.listing import Listing, each
from greenroom.entrypoints.api.routing import Call, Reply, route


def _own(call: Call) -> Account:
    return Account.objects.get(pk=call.actor.account)


@route("GET", "/health", "public", returns="health")
def health(call: Call) -> dict[str, Any]:
    """Whether the control plane and its database are available."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return {"status": "ok", "version": __version__, "mode": settings.INSTALLATION["mode"]}


@route("GET", "/account", "identity", returns="account")
def account(call: Call) -> dict[str, Any]:
    """The authenticated account."""
    return shapes.account(_own(call))


@route("GET", "/users/~", "identity", returns="account")
def me(call: Call) -> dict[str, Any]:
    """The authenticated account, under Heroku's alternative path."""
    return shapes.account(_own(call))


@route("GET", "/account/features", "identity", returns="[feature]")
def account_features(call: Call) -> list[Any]:
    """Always empty: there are no account features."""
    return []


@route("GET", "/account/rate-limits", "identity", returns="rate-limit")
def rate_limits(call: Call) -> dict[str, int]:
    """The account's remaining request allowance."""
    return {"remaining": limits.remaining(call.actor)}


@route("GET", "/oauth/authorizations", "account:read", returns="[authorization]")
def authorizations(call: Call) -> Listing:
    """List the caller's tokens, without their secret text."""
    rows = Token.objects.select_related("account").filter(account_id=call.actor.account, revoked_at=None)
    return Listing(rows, each(shapes.authorization), "-created_at")


@route("POST", "/oauth/authorizations", "account:write", takes="authorization.create", returns="201 authorization")
def create_authorization(call: Call) -> Reply:
    """Create a token, with at most the permissions of the caller's."""
    scopes = call.body.get("scope") or ["global"]
    if isinstance(scopes, str):
        scopes = [scopes]
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        raise UserError("scope must be a list of strings.")
    _refuse_wider(call, scopes)
    seconds = call.body.get("expires_in")
    seconds = (
        int(seconds) if isinstance(seconds, str) and seconds.isdecimal() and len(seconds) < 12 else seconds
    )  # the CLI sends a string
    if seconds is not None and (not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 < seconds < 10**9):
        raise UserError("expires_in must be a number of seconds from 1 to 999999999, or null.")
    token, plain = actions.create_token(
        actor=call.actor,
        account=_own(call),
        description=call.text("description"),
        scopes=tuple(scopes),
        seconds=seconds,
        session=call.actor.token_id is None,
    )
    return Reply(shapes.authorization(token, plain), 201)


@route("GET", "/oauth/authorizations/{id}", "account:read", returns="authorization")
def authorization(call: Call) -> dict[str, Any]:
    """Get one token; ``~`` is the caller's."""
    return shapes.authorization(_token(call))


@route("DELETE", "/oauth/authorizations/{id}", "account:write", returns="authorization")
def revoke(call: Call) -> dict[str, Any]:
    """Revoke a token."""
    token = _token(call)
    return shapes.authorization(actions.revoke_token(actor=call.actor, account=token.account, token_id=str(token.id)))


@route("PATCH", "/oauth/authorizations/{id}", "account:write", takes="authorization.update", returns="authorization")
def update_authorization(call: Call) -> dict[str, Any]:
    """Change a token's description. Its permissions are fixed at creation."""
    token = _token(call)
    if call.body.get("client"):
        raise UserError("OAuth clients are not supported.", hint="omit --client-id and --client-secret")
    text = call.text("description", required=True)
    row = actions.describe_token(actor=call.actor, account=token.account, token_id=str(token.id), description=text)
    return shapes.authorization(row)


@route("POST", "/oauth/authorizations/{id}/actions/regenerate-tokens", "account:write", returns="authorization")
def rotate_authorization(call: Call) -> dict[str, Any]:
    """Replace the token's secret text, which is shown only once; the old one is revoked immediately.

    Refused for a token with more permissions than the caller's.
    """
    token = _token(call)
    _refuse_wider(call, token.scopes)
    row, plain = actions.rotate_token(actor=call.actor, account=token.account, token_id=str(token.id))
    return shapes.authorization(row, plain)


def _refuse_wider(call: Call, scopes: list[str]) -> None:
    if wider(tuple(scopes), call.actor.scopes):
        raise UserError("A token cannot create a token with more permissions.", hint="use a token of scope global")


def _token(call: Call) -> Token:
    wanted = str(call.actor.token_id) if call.params["id"] == "~" else call.params["id"]
    rows = Token.objects.select_related("account").filter(account_id=call.actor.account, revoked_at=None)
    found = rows.filter(pk=wanted).first() if is_uuid(wanted) else None
    if found is None:
        raise NotFoundError("Couldn't find that authorization.", resource="authorization")
    return found


@route("GET", "/audit", "account:read", returns="[audit-entry]", query=("app", "limit"))
def audit(call: Call) -> Listing:
    """The audit log, newest first: of one app, or of all apps for an administrator."""
    rows = AuditEntry.objects.order_by("-id")
    name = call.query("app")
    if name:
        rows = rows.filter(app_id=authorise(call.actor, name, "access").id)
    elif not call.actor.is_admin:
        rows = rows.filter(account_id=call.actor.account)
    return Listing(rows, each(shapes.audit), "-id", {"id": "pk", "created_at": "at", "at": "at"}, size=100)


@route("GET", "/audit/verification", "admin", returns="audit-verification")
def verify_audit(call: Call) -> dict[str, bool]:
    """Verify the audit log's hash chain."""
    return {"intact": queries.audit_is_intact()}
