"""Commands for log drains: URLs that receive the log of an app."""

from __future__ import annotations

from typing import Any

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command


@command("drains", example="greenroom drains -a ach-payslip-staging", json=True)
def drains(cx: Context) -> int | None:
    """List the log drains of an app and their progress."""
    rows = cx.api.everything(cx.path("log-drains"))
    if cx.as_json:
        output.print_json(rows)
    elif rows:
        output.table(
            [_line(row) for row in rows], header=("url", "token", "lines sent", "last sent", "error"), flexible=4
        )
    else:
        output.note(f"{cx.app} has no drains.")
        output.hint(f"greenroom drains:add syslog+tls://logs.example.com:6514{cx.flags()}")
    return None


def _line(row: dict[str, Any]) -> list[str]:
    return [
        output.clean(row["url"]),
        row["token"],
        str(row["sent_lines"]),
        output.when(row["sent_at"]),
        output.clean(row["error"] or ""),
    ]


@command("drains:add", example="greenroom drains:add syslog+tls://logs.example.com:6514 -a ach-payslip-staging")
@click.argument("url")
def add(cx: Context, url: str) -> int | None:
    """Add a log drain: an https, http, syslog+tls or syslog URL that receives the log from now on."""
    with output.progress(f"Adding a drain to {output.app_mark(cx.app)}"):
        row = cx.api.post(cx.path("log-drains"), {"url": url})
    output.say(row["token"])
    output.hint(f"undo with: greenroom drains:remove {row['token']}{cx.flags()}")
    return None


@command("drains:remove", example="greenroom drains:remove d.0a1b2c3d -a ach-payslip-staging")
@click.argument("drain", metavar="URL|TOKEN")
def remove(cx: Context, drain: str) -> int | None:
    """Remove a log drain, given its URL or token."""
    with output.progress(f"Removing a drain from {output.app_mark(cx.app)}"):
        row = cx.api.delete(cx.path("log-drains", drain))
    output.hint(f"undo with: greenroom drains:add {output.clean(row['url'])}{cx.flags()}")
    return None
