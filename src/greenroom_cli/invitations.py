"""Commands for invitations: a link by which a person makes an account."""

from __future__ import annotations

from urllib.parse import quote

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command
from greenroom_cli.errors import CliError


@command("invitations", example="greenroom invitations", app=False, json=True)
def invitations(cx: Context) -> int | None:
    """List pending invitations (administrators)."""
    rows = cx.api.everything("/invitations")
    if cx.as_json:
        output.print_json(rows)
        return None
    output.heading("Invitations")
    lines = [
        [
            row["id"][:8],
            output.clean(row["email"]),
            "administrator" if row["is_admin"] else "",
            f"{row['role']} of {row['app']['name']}" if row["app"] else "",
            output.clean(row["inviter"]),
            output.when(row["expires_at"]),
        ]
        for row in rows
    ]
    output.table(lines, header=("ID", "E-mail", "", "Role", "Invited by", "Expires") if lines else ())
    if not lines:
        output.hint("greenroom invitations:create EMAIL")
    return None


@command(
    "invitations:create",
    example="greenroom invitations:create bob@example.com --app ach-payslip-staging --role viewer",
    app=False,
    json=True,
)
@click.argument("email")
@click.option("--app", default="", metavar="APP", help="Give the new account a role in this app.")
@click.option(
    "--role", default="", metavar="ROLE", help="The role in the app: viewer, developer (default) or operator."
)
@click.option("--admin", is_flag=True, help="Make the new account an administrator of the installation.")
@click.option("--days", type=click.IntRange(1, 30), default=7, show_default=True, help="Days until the link expires.")
def create(cx: Context, email: str, app: str, role: str, admin: bool, days: int) -> int | None:
    """Create an invitation: a link that is valid once and until it expires (administrators).

    Send the link to the person, who sets a password or gets an API token on its page. An earlier invitation for the
    same address ends.
    """
    body = {"email": email, "app": app, "role": role, "is_admin": admin, "days": days}
    with output.progress(f"Inviting {output.style(email, 'cyan')}"):
        row = cx.api.post("/invitations", body)
    if cx.as_json:
        output.print_json(row)
    else:
        output.say(row["url"])
    output.warn("This link is not shown again. Whoever opens it first gets the account.")
    output.hint(f"undo with: greenroom invitations:revoke {row['id'][:8]}")
    return None


@command("invitations:revoke", example="greenroom invitations:revoke 1f3a9c2b", app=False)
@click.argument("invitation_id", metavar="ID")
def revoke(cx: Context, invitation_id: str) -> int | None:
    """Revoke an invitation (administrators). ID is its id, its first digits as `invitations` shows them, or the e-mail
    address.
    """
    rows = [
        row
        for row in cx.api.everything("/invitations")
        if row["id"].startswith(invitation_id) or row["email"] == invitation_id.lower()
    ]
    if len(rows) != 1:
        raise CliError(
            f"{len(rows) or 'No'} pending invitation{'s' if len(rows) > 1 else ''} match{'' if len(rows) > 1 else 'es'}"
            f" {invitation_id}.",
            hint="greenroom invitations",
        )
    with output.progress(f"Revoking invitation {rows[0]['id'][:8]}"):
        cx.api.delete(f"/invitations/{quote(rows[0]['id'], safe='')}")
    return None
