"""Commands for the collaborators of an app and their roles."""

from __future__ import annotations

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command


@command("access", example="greenroom access -a ach-payslip-staging", json=True)
def access(cx: Context) -> int | None:
    """List the collaborators of an app and their roles: owner, operator, developer or viewer."""
    rows = cx.api.everything(cx.path("collaborators"))
    if cx.as_json:
        output.print_json(rows)
        return None
    output.heading(f"{cx.app} Access")
    output.table([[output.clean(row["user"]["email"]), row["role"]] for row in rows])
    return None


@command("access:add", example="greenroom access:add bob@example.com --role operator -a ach-payslip-staging")
@click.argument("email")
@click.option("--role", default="developer", show_default=True, metavar="ROLE", help="viewer, developer or operator.")
def add(cx: Context, email: str, role: str) -> int | None:
    """Add a collaborator to an app, or change a collaborator's role.

    A viewer can see the app and its log. A developer can also push, run commands and change config vars. An operator
    can also override checks and manage access and domains.
    """
    with output.progress(f"Adding {output.style(email, 'cyan')} access to the app {output.app_mark(cx.app)} as {role}"):
        cx.api.post(cx.path("collaborators"), {"user": email, "role": role})
    output.hint(f"undo with: greenroom access:remove {email}{cx.flags()}")
    return None


@command("access:remove", example="greenroom access:remove bob@example.com -a ach-payslip-staging")
@click.argument("email")
def remove(cx: Context, email: str) -> int | None:
    """Remove a collaborator from an app."""
    with output.progress(f"Removing {output.style(email, 'cyan')} access from the app {output.app_mark(cx.app)}"):
        row = cx.api.delete(cx.path("collaborators", email))
    role = row.get("role", "developer") if isinstance(row, dict) else "developer"
    output.hint(f"undo with: greenroom access:add {email} --role {role}{cx.flags()}")
    return None
