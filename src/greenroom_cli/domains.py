"""Commands for the domains of an app."""

from __future__ import annotations

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command


@command("domains", example="greenroom domains -a ach-payslip-staging", json=True)
def domains(cx: Context) -> int | None:
    """List the domains of an app."""
    rows = cx.api.everything(cx.path("domains"))
    if cx.as_json:
        output.print_json(rows)
        return None
    own = [row for row in rows if row.get("kind") == "heroku"]
    custom = [row for row in rows if row.get("kind") != "heroku"]
    if own:
        output.heading(f"{cx.app} Greenroom Domain")
        output.table([[row["hostname"]] for row in own])
    if custom:
        output.say()
        output.heading(f"{cx.app} Custom Domains")
        output.table([[output.clean(row["hostname"])] for row in custom])
    return None


@command("domains:add", example="greenroom domains:add payslip.staging.example.com -a ach-payslip-staging")
@click.argument("hostname")
def add(cx: Context, hostname: str) -> int | None:
    """Add a domain. Its DNS record must point to this machine."""
    with output.progress(f"Adding {output.style(hostname, 'cyan')} to {output.app_mark(cx.app)}"):
        row = cx.api.post(cx.path("domains"), {"hostname": hostname})
    output.say(row["hostname"])
    output.hint(f"undo with: greenroom domains:remove {row['hostname']}{cx.flags()}")
    return None


@command("domains:remove", example="greenroom domains:remove payslip.staging.example.com -a ach-payslip-staging")
@click.argument("hostname")
def remove(cx: Context, hostname: str) -> int | None:
    """Remove a domain."""
    with output.progress(f"Removing {output.style(hostname, 'cyan')} from {output.app_mark(cx.app)}"):
        cx.api.delete(cx.path("domains", hostname))
    output.hint(f"undo with: greenroom domains:add {hostname}{cx.flags()}")
    return None
