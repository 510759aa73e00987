"""The verbs of access: who may do what with an app."""

from __future__ import annotations

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command


@command("access", example="greenroom access -a ach-payslip-staging", json=True)
def access(cx: Context) -> int | None:
    """List who may do what: owner, operators, developers, viewers."""
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
    """Let somebody in, or give them another role.

    A viewer sees the app and its log; a developer pushes, runs and configures; an operator also overrides checks and
    manages access and domains.
    """
    with output.progress(f"Adding {output.style(email, 'cyan')} access to the app {output.app_mark(cx.app)} as {role}"):
        cx.api.post(cx.path("collaborators"), {"user": email, "role": role})
    output.hint(f"undo with: greenroom access:remove {email}{cx.flags()}")
    return None


@command("access:remove", example="greenroom access:remove bob@example.com -a ach-payslip-staging")
@click.argument("email")
def remove(cx: Context, email: str) -> int | None:
    """Take somebody's access away."""
    with output.progress(f"Removing {output.style(email, 'cyan')} access from the app {output.app_mark(cx.app)}"):
        row = cx.api.delete(cx.path("collaborators", email))
    role = row.get("role", "developer") if isinstance(row, dict) else "developer"
    output.hint(f"undo with: greenroom access:add {email} --role {role}{cx.flags()}")
    return None
