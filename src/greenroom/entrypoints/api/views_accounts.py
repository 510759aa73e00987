"""The API of other users' accounts, for administrators: accounts, their tokens and sessions, and invitations."""

from __future__ import annotations

from typing import Any

from greenroom.accounts import actions, queries
from greenroom.accounts.actions import leavers
from greenroom.accounts.models import Account, Token
from greenroom.apps import queries as apps
from greenroom.apps.actions import invitations
from greenroom.apps.models import Invitation
from greenroom.basics.clock import heroku_time
from greenroom.basics.errors import UserError
from greenroom.entrypoints.api import client_urls, shapes
from greenroom.entrypoints.api.listing import USUAL, Listing, each
from greenroom.entrypoints.api.routing import Call, Reply, route


@route("GET", "/accounts", "admin", returns="[account]")
def list_accounts(call: Call) -> Listing:
    """List all accounts of the installation, disabled ones included."""
    return Listing(queries.listed(), each(shapes.account), "email", {"email": "email", **USUAL})


@route("POST", "/accounts", "admin:token", takes="account.create", returns="201 account.new")
def create_account(call: Call) -> Reply:
    """Create an account with a token, which is shown only once."""
    account, plain = actions.create_account_with_token(
        actor=call.actor,
        email=call.text("email", required=True),
        name=call.text("name"),
        is_admin=bool(call.body.get("is_admin")),
    )
    return Reply({**shapes.account(account), "token": plain}, 201)


@route("POST", "/accounts/{email}/token", "admin:token", returns="201 account.token")
def create_token_for_account(call: Call) -> Reply:
    """Create a token of scope global for an account that has lost its own; shown only once.

    Its other tokens stay valid until they are revoked.
    """
    account, plain = actions.create_token_for(actor=call.actor, email=call.params["email"])
    return Reply({**shapes.account(account), "token": plain}, 201)


@route("POST", "/accounts/{email}/actions/disable", "admin:token", returns="account")
def disable(call: Call) -> dict[str, Any]:
    """Disable an account: its tokens are revoked, and what it has open ends within seconds."""
    return shapes.account(leavers.disable(actor=call.actor, email=call.params["email"]))


@route("POST", "/accounts/{email}/actions/enable", "admin:token", returns="account")
def enable(call: Call) -> dict[str, Any]:
    """Enable a disabled account. It needs new tokens."""
    return shapes.account(leavers.enable(actor=call.actor, email=call.params["email"]))


@route("POST", "/accounts/{email}/actions/promote", "admin:token", returns="account")
def promote(call: Call) -> dict[str, Any]:
    """Make an account an administrator of the installation."""
    return shapes.account(leavers.promote(actor=call.actor, email=call.params["email"]))


@route("POST", "/accounts/{email}/actions/demote", "admin:token", returns="account")
def demote(call: Call) -> dict[str, Any]:
    """Make an administrator a user. Refused for the last active one."""
    return shapes.account(leavers.demote(actor=call.actor, email=call.params["email"]))


@route("DELETE", "/accounts/{email}", "admin:token", returns="account")
def delete(call: Call) -> dict[str, Any]:
    """Delete an account that owns no app and no pipeline. The history keeps its name."""
    return shapes.account(leavers.delete(actor=call.actor, email=call.params["email"]))


def _token(row: Token) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "description": row.description,
        "scope": row.scopes,
        "last_four": row.last_four,
        "session": row.session,
        "expires_at": heroku_time(row.expires_at),
        "used_at": heroku_time(row.used_at),
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


def _account(call: Call) -> Account:
    return queries.existing(call.params["email"])


@route("GET", "/accounts/{email}/tokens", "admin", returns="[account-token]")
def tokens(call: Call) -> Listing:
    """List the valid tokens of an account, newest first. ``session``: created by a sign-in."""
    return Listing(queries.valid_tokens(_account(call)), each(_token), "-created_at")


@route("DELETE", "/accounts/{email}/tokens", "admin", returns="revoked")
def revoke_all(call: Call) -> dict[str, int]:
    """Revoke all tokens of an account, sessions included."""
    return {"revoked": leavers.revoke_all(actor=call.actor, email=call.params["email"])}


@route("DELETE", "/accounts/{email}/tokens/{id}", "admin", returns="account-token")
def revoke(call: Call) -> dict[str, Any]:
    """Revoke a token of an account."""
    account = _account(call)
    return _token(actions.revoke_token(actor=call.actor, account=account, token_id=call.params["id"]))


def _invitation(row: Invitation) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "email": row.email,
        "is_admin": row.is_admin,
        "app": {"id": str(row.app_id), "name": row.app.name} if row.app else None,
        "role": row.role or None,
        "inviter": row.inviter,
        "expires_at": heroku_time(row.expires_at),
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


@route("GET", "/invitations", "admin", returns="[invitation]")
def list_invitations(call: Call) -> Listing:
    """List pending invitations, newest first."""
    return Listing(apps.pending_invitations(), each(_invitation), "-created_at", {"email": "email", **USUAL})


@route("POST", "/invitations", "admin:token", takes="invitation.create", returns="201 invitation.new")
def invite(call: Call) -> Reply:
    """Create an invitation: {email, is_admin, app, role, days}. ``url`` is its link, which is shown only once."""
    days = call.body.get("days")
    if days is not None and (not isinstance(days, int) or isinstance(days, bool)):
        raise UserError("days must be a number.")
    name = call.text("app")
    row, secret = invitations.invite(
        actor=call.actor,
        email=call.text("email", required=True),
        is_admin=call.body.get("is_admin") is True,
        app=apps.authorise(call.actor, name, "access") if name else None,
        role=call.text("role"),
        days=7 if days is None else days,
    )
    return Reply({**_invitation(row), "url": client_urls.for_others(f"/invitations/accept/{secret}")}, 201)


@route("DELETE", "/invitations/{invitation}", "admin:token", returns="invitation")
def revoke_invitation(call: Call) -> dict[str, Any]:
    """Revoke a pending invitation: its link ends."""
    return _invitation(invitations.revoke(actor=call.actor, id=call.params["invitation"]))
