"""The verbs of the app's database: facts, snapshots, restore; and the list of add-ons."""

from __future__ import annotations

import click

from greenroom_cli import output
from greenroom_cli.context import Context, confirm, verb


@verb("pg:info", example="greenroom pg:info -a ach-payslip-staging", json=True)
def info(cx: Context) -> int | None:
    """Show the app's database: version, size, tables, connections."""
    row = cx.api.get(cx.path("pg"))
    if cx.as_json:
        output.print_json(row)
        return None
    used, limit = row.get("connections"), row.get("connection_limit")
    output.heading("DATABASE_URL")
    output.fields(
        [
            ("Plan", row.get("plan")),
            ("Status", (row.get("state") or "").capitalize()),
            ("Connections", f"{used}/{limit}" if limit else used),
            ("PG Version", row.get("version")),
            ("Data Size", output.size_text(row.get("size_bytes"))),
            ("Tables", row.get("tables")),
            ("Database", row.get("database")),
            ("Host", row.get("url_host")),
            ("Add-on", row.get("name")),
        ]
    )
    return None


@verb("pg:snapshots", example="greenroom pg:snapshots -a ach-payslip-staging", json=True)
def snapshots(cx: Context) -> int | None:
    """List the snapshots of the app's database, newest first."""
    rows = cx.api.get(cx.path("pg", "snapshots"))
    if cx.as_json:
        output.print_json(rows)
        return None
    if not rows:
        output.note(f"{cx.app} has no snapshots.")
        return None
    output.heading(f"{cx.app} Snapshots")
    lines = [
        [
            str(row["id"]),
            output.clean(row.get("reason") or ""),
            output.size_text(row.get("size_bytes")),
            output.when(row.get("created_at")),
        ]
        for row in rows
    ]
    output.table(lines, header=("ID", "Made for", "Size", "When"), flexible=1)
    output.hint(f"greenroom pg:restore ID{cx.words()}")
    return None


@verb("pg:restore", example="greenroom pg:restore b001 -a ach-payslip-staging --confirm ach-payslip-staging")
@click.argument("snapshot")
@click.option("-c", "--confirm", "given", default="", metavar="NAME", help="The app's name: do not ask.")
def restore(cx: Context, snapshot: str, given: str) -> int | None:
    """Put the app's database back to a snapshot.

    What was written since is lost. It asks for the app's name first.
    """
    confirm(cx, given, name=cx.app, what=f"WARNING: This will replace the database of {cx.app} by snapshot {snapshot}.")
    with output.progress(f"Restoring the database of {output.app_mark(cx.app)} from {snapshot}"):
        cx.api.post(cx.path("pg", "snapshots", snapshot, "actions", "restore"))
    output.hint(f"greenroom migrations{cx.words()}")
    return None


@verb("addons", example="greenroom addons -a ach-payslip-staging", json=True, hidden=True)
def addons(cx: Context) -> int | None:
    """List the app's add-ons."""
    rows = cx.api.everything(cx.path("addons"))
    if cx.as_json:
        output.print_json(rows)
        return None
    if not rows:
        output.note(f"No add-ons for app {cx.app}.")
        return None
    output.heading(f"{cx.app} Add-ons")
    lines = [[row["name"], row["plan"]["name"], row["state"], ", ".join(row.get("config_vars") or ())] for row in rows]
    output.table(lines, header=("Name", "Plan", "State", "Config vars"))
    return None
