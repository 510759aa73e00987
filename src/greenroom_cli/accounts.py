"""Commands for accounts and API tokens. A new token is printed on stdout once; the server stores only its digest."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command
from greenroom_cli.errors import CliError


@command("whoami", example="greenroom whoami", app=False, json=True)
def whoami(cx: Context) -> int | None:
    """Show the current user and installation."""
    row = cx.api.get("/account")
    if cx.as_json:
        output.print_json(row)
        return None
    output.say(row["email"])
    output.note(f"at {cx.target.url}, with the token from {cx.target.token_source}")
    if cx.target.login:
        output.hint("list your sign-ins with: greenroom logins")
    return None


@command("accounts", example="greenroom accounts", app=False, json=True)
def accounts(cx: Context) -> int | None:
    """List the accounts of the installation (administrators)."""
    rows = cx.api.everything("/accounts")
    if cx.as_json:
        output.print_json(rows)
        return None
    output.heading("Accounts")
    lines = [
        [
            output.clean(row["email"]),
            output.clean(row.get("name") or ""),
            ", ".join(
                word
                for word, is_so in (("administrator", row.get("is_admin")), ("disabled", row.get("suspended_at")))
                if is_so
            ),
            output.when(row["created_at"]),
        ]
        for row in rows
    ]
    output.table(lines, header=("E-mail", "Name", "", "Created"))
    return None


@command("accounts:create", example="greenroom accounts:create bob@example.com --name Bob", app=False)
@click.argument("email")
@click.option("--name", default="", metavar="NAME", help="The user's name.")
@click.option("--admin", is_flag=True, help="Make the user an administrator of the installation.")
def create(cx: Context, email: str, name: str, admin: bool) -> int | None:
    """Create an account and its first API token (administrators).

    The token is printed only once. Give it to the user, who sets it as GREENROOM_TOKEN.
    """
    with output.progress(f"Creating account {output.style(email, 'cyan')}"):
        row = cx.api.post("/accounts", {"email": email, "name": name, "is_admin": admin})
    output.say(row["token"])
    output.warn("This token is not shown again.")
    output.hint(f"add the user to an app with: greenroom access:add {row['email']} -a APP")
    return None


@command("accounts:token", example="greenroom accounts:token bob@example.com", app=False, json=True)
@click.argument("email")
def token(cx: Context, email: str) -> int | None:
    """Create an API token for another account (administrators).

    For a user whose token is lost or expired. The token has the scope global and is printed only once. Give it to the
    user, who sets it as GREENROOM_TOKEN. The user's other tokens stay valid until they are revoked.
    """
    with output.progress(f"Creating token for {output.style(email, 'cyan')}"):
        row = cx.api.post(f"/accounts/{quote(email, safe='')}/token")
    if cx.as_json:
        output.print_json(row)
    else:
        output.say(row["token"])
    output.warn("This token is not shown again.")
    output.hint("the user revokes old tokens with: greenroom tokens; greenroom tokens:revoke ID")
    return None


ACCOUNT_OPTION = click.option("--account", default="", metavar="EMAIL", help="Another user's account (administrators).")


@command("tokens", example="greenroom tokens", app=False, json=True)
@ACCOUNT_OPTION
def tokens(cx: Context, account: str) -> int | None:
    """List your API tokens, without their values. Sessions of sign-ins are tokens too."""
    rows = _tokens(cx, account)
    if cx.as_json:
        output.print_json(rows)
        return None
    output.heading(f"Tokens of {output.clean(account)}" if account else "Tokens")
    lines = [
        [
            row["id"][:8],
            row["access_token"]["token"] if "access_token" in row else f"grm_...{row['last_four']}",
            output.clean(row.get("description") or ""),
            ", ".join(row.get("scope") or ()),
            output.when(row["created_at"]),
        ]
        for row in rows
    ]
    output.table(lines, header=("ID", "Token", "Description", "Scope", "Created"), flexible=2)
    return None


def _tokens(cx: Context, account: str) -> list[dict[str, Any]]:
    return cx.api.everything(_place(account))


def _place(account: str) -> str:
    return f"/accounts/{quote(account, safe='')}/tokens" if account else "/oauth/authorizations"


@command("tokens:create", example='greenroom tokens:create -d "CI of ach-payslip" --scope write --days 90', app=False)
@click.option("-d", "--description", default="", metavar="TEXT", help="A description of its purpose.")
@click.option(
    "-s",
    "--scope",
    "scopes",
    multiple=True,
    metavar="SCOPE",
    help="global, read, write, read-protected, write-protected, identity or checks:write; can be repeated.",
)
@click.option("--days", type=click.IntRange(1), help="Days until the token expires (default: never).")
def create_token(cx: Context, description: str, scopes: tuple[str, ...], days: int | None) -> int | None:
    """Create an API token. It is printed only once."""
    body = {
        "description": description,
        "scope": list(scopes) or ["global"],
        "expires_in": days * 86400 if days else None,
    }
    with output.progress("Creating token"):
        row = cx.api.post("/oauth/authorizations", body)
    output.say(row["access_token"]["token"])
    output.warn("This token is not shown again.")
    output.hint(f"undo with: greenroom tokens:revoke {row['id'][:8]}")
    return None


@command("tokens:revoke", example="greenroom tokens:revoke 1f3a9c2b", app=False)
@click.argument("token_id", metavar="ID", required=False, default="")
@click.option("--all", "all_of_them", is_flag=True, help="Revoke all tokens of the account (with --account).")
@ACCOUNT_OPTION
def revoke_token(cx: Context, token_id: str, all_of_them: bool, account: str) -> int | None:
    """Revoke an API token immediately. ID is its id, or the first digits as `tokens` shows them.

    What is open with it ends: log streams, attached dynos and git operations.
    """
    if all_of_them or not token_id:
        return _revoke_all(cx, token_id, all_of_them, account)
    rows = [row for row in _tokens(cx, account) if row["id"].startswith(token_id)]
    if len(rows) != 1:
        whose = f"the tokens of {account}" if account else "your tokens"
        raise CliError(
            f"{len(rows) or 'None'} of {whose} begin{'s' if not rows else ''} with {token_id}.",
            hint=f"greenroom tokens{f' --account {account}' if account else ''}",
        )
    with output.progress(f"Revoking token {rows[0]['id'][:8]}"):
        cx.api.delete(f"{_place(account)}/{quote(rows[0]['id'], safe='')}")
    return None


def _revoke_all(cx: Context, token_id: str, all_of_them: bool, account: str) -> int | None:
    if token_id or not account or not all_of_them:
        raise CliError("Name one token by its ID, or use --all with --account EMAIL.", hint="greenroom tokens", code=2)
    with output.progress(f"Revoking all tokens of {output.style(account, 'cyan')}"):
        row = cx.api.delete(_place(account))
    output.note(f"{row['revoked']} revoked")
    return None
