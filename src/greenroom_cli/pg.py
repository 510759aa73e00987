"""Commands for the app's database and add-ons. The commands for snapshots are in ``snapshots``."""

from __future__ import annotations

from greenroom_cli import output
from greenroom_cli.context import Context, command


@command("pg:info", example="greenroom pg:info -a ach-payslip-staging", json=True)
def info(cx: Context) -> int | None:
    """Show details of the database: version, size, tables, connections."""
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


@command("addons", example="greenroom addons -a ach-payslip-staging", json=True, hidden=True)
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
