"""Commands for the audit log."""

from __future__ import annotations

from typing import Any

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command
from greenroom_cli.errors import CliError


@command("audit", example="greenroom audit -a ach-payslip-staging -n 20\ngreenroom audit --all", json=True)
@click.option("-n", "--num", default=50, show_default=True, type=click.IntRange(1, 1000), help="Number of entries.")
@click.option("--all", "everything", is_flag=True, help="Entries of all apps (administrators); overrides -a.")
def audit(cx: Context, num: int, everything: bool) -> int | None:
    """Show the audit log of an app, newest first; without an app, your own actions."""
    app = "" if everything else cx.app_if_known
    rows = cx.api.get("/audit", app=app, limit=num)[:num]
    if cx.as_json:
        output.print_json(rows)
        return None
    output.heading(f"{app} Audit log" if app else "Audit log")
    lines = [
        [
            output.when(row["created_at"]),
            output.clean(row["actor"]),
            output.clean(row.get("app") or ""),
            output.clean(row["action"]),
            _detail(row.get("detail")),
        ]
        for row in rows
    ]
    output.table(lines, flexible=4)
    return None


def _detail(detail: Any) -> str:
    if not isinstance(detail, dict):
        return output.clean(detail or "")
    return output.clean(" ".join(f"{key}={_short(value)}" for key, value in detail.items())).replace("\n", " ")


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value)


@command("audit:verify", example="greenroom audit:verify", app=False, json=True)
def verify(cx: Context) -> int | None:
    """Verify that no entry of the audit log was changed or removed (administrators)."""
    row = cx.api.get("/audit/verification")
    if cx.as_json:
        output.print_json(row)
        return 0 if row["intact"] else 1
    if not row["intact"]:
        raise CliError(
            "The audit log is not intact: an entry was changed or removed.", hint="compare it with a database backup"
        )
    output.say("intact")
    return None
