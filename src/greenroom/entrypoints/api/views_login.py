"""The API of login sessions and of the start of a browser login. The page is in entrypoints.web, the waiting in
entrypoints.streams.
"""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from greenroom.accounts import actions
from greenroom.accounts.actions import sign_ins
from greenroom.accounts.models import Account, Token
from greenroom.basics.clock import heroku_time
from greenroom.basics.errors import NotFoundError
from greenroom.basics.ids import is_uuid
from greenroom.entrypoints.api.listing import Listing, each
from greenroom.entrypoints.api.routing import Call, Reply, route


@route("POST", "/auth", "public", takes="sign-in.create", returns="201 sign-in")
def begin(call: Call) -> Reply:
    """Start a browser login: the user opens browser_url, the command polls cli_url with the token."""
    address = call.request.META.get("REMOTE_ADDR", "")
    row, page, command = sign_ins.begin(description=call.text("description"), address=address)
    return Reply({"browser_url": f"/auth/browser/{page}", "cli_url": f"/auth/cli/{row.id}", "token": command}, 201)


def _session(row: Token) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "description": row.description,
        "expires_in": round((row.expires_at - row.created_at).total_seconds()) if row.expires_at else None,
        "used_at": heroku_time(row.used_at),
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


def _sessions(call: Call) -> QuerySet[Token]:
    return Token.objects.filter(account_id=call.actor.account, session=True, revoked_at=None)


@route("GET", "/oauth/sessions", "account:read", returns="[session]")
def sessions(call: Call) -> Listing:
    """List valid login sessions, newest first. Each is a token, which is also an authorization."""
    return Listing(_sessions(call), each(_session), "-created_at")


@route("DELETE", "/oauth/sessions/{id}", "account:write", returns="session")
def end_session(call: Call) -> dict[str, Any]:
    """Log out of a session; ``~`` is the caller's."""
    wanted = str(call.actor.token_id) if call.params["id"] == "~" else call.params["id"]
    row = _sessions(call).filter(pk=wanted).first() if is_uuid(wanted) else None
    if row is None:
        raise NotFoundError("Couldn't find that session.", resource="session")
    account = Account.objects.get(pk=call.actor.account)
    return _session(actions.revoke_token(actor=call.actor, account=account, token_id=str(row.id)))
