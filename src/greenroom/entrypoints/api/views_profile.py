"""The API of the caller's account: name, password, and OAuth clients, which do not exist here."""

from __future__ import annotations

from typing import Any, NoReturn

from greenroom.accounts.actions import profile
from greenroom.accounts.models import Account
from greenroom.basics.errors import NotFoundError, UserError
from greenroom.entrypoints.api import shapes
from greenroom.entrypoints.api.routing import Call, route

NO_CLIENTS = "Greenroom is not an OAuth provider."
USE_TOKENS = "use an API token: heroku authorizations:create, or greenroom tokens:create"


def _own(call: Call) -> Account:
    return Account.objects.get(pk=call.actor.account)


def _change_password(call: Call, current: str) -> Account:
    if "global" not in call.actor.scopes:
        raise UserError("Changing the password requires a token of scope global.")
    return profile.change_password(
        actor=call.actor, account=_own(call), current=current, new=call.text("new_password", required=True)
    )


@route("PATCH", "/account", "account:write", takes="account.update", returns="account")
def update_account(call: Call) -> dict[str, Any]:
    """Change the name: {name}, or the password: {password, new_password}. The e-mail is fixed."""
    row = _own(call)
    if call.body.get("email") not in (None, row.email):
        raise UserError(
            "The e-mail of an account cannot be changed.", hint="create another account with: greenroom accounts:create"
        )
    if call.body.get("new_password") is not None:
        row = _change_password(call, call.text("password"))
    if call.body.get("name") is not None:
        row = profile.rename(actor=call.actor, account=row, name=call.text("name"))
    return shapes.account(row)


@route("PUT", "/account/password", "account:write", takes="password.change", returns="account")
def change_password(call: Call) -> dict[str, Any]:
    """Change the password, in the format of older clients: {current_password, new_password}."""
    return shapes.account(_change_password(call, call.text("current_password") or call.text("password")))


@route("GET", "/oauth/clients", "account:read", returns="[object]")
def clients(call: Call) -> list[Any]:
    """List OAuth clients: always empty."""
    return []


@route("GET", "/oauth/clients/{id}", "account:read", returns="object")
def client(call: Call) -> NoReturn:
    """Always 404: there are no OAuth clients."""
    raise NotFoundError("Couldn't find that client.", hint=USE_TOKENS, resource="client")


@route("POST", "/oauth/clients", "account:write", returns="object")
def make_client(call: Call) -> NoReturn:
    """OAuth clients are not supported."""
    raise UserError(NO_CLIENTS, hint=USE_TOKENS)


@route("POST", "/oauth/tokens", "account:write", returns="object")
def make_token(call: Call) -> NoReturn:
    """OAuth tokens are not supported."""
    raise UserError(NO_CLIENTS, hint=USE_TOKENS)


@route("GET", "/account/invoices", "account:read", returns="[object]")
def invoices(call: Call) -> list[Any]:
    """List invoices: always empty, because there are no charges."""
    return []
