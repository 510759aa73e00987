"""Commands for database snapshots: capture, list, show, pin, delete, restore."""

from __future__ import annotations

from typing import Any

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command, confirm
from greenroom_cli.errors import CliError

PATIENCE = 7200.0
"""Seconds to wait for the worker."""


@command("pg:snapshots", example="greenroom pg:snapshots -a ach-payslip-staging", json=True)
def snapshots(cx: Context) -> int | None:
    """List the snapshots of the app's database, newest first."""
    rows = cx.api.everything(cx.path("pg", "snapshots"))
    if cx.as_json:
        output.print_json(rows)
        return None
    if not rows:
        output.note(f"{cx.app} has no snapshots.")
        output.hint(f"greenroom pg:snapshots:capture{cx.flags()}")
        return None
    output.heading(f"{cx.app} Snapshots")
    lines = [
        [
            row["name"],
            row["kind"].replace("_", " ") + (" (pinned)" if row.get("pinned") else ""),
            row["state"],
            output.size_text(row.get("size_bytes")),
            f"v{row['release']['version']}" if row.get("release") else "",
            output.clean(row.get("reason") or ""),
            output.when(row.get("created_at")),
        ]
        for row in rows
    ]
    output.table(lines, header=("Name", "Kind", "State", "Size", "Release", "Reason", "When"), flexible=5)
    output.hint(f"greenroom pg:restore NAME{cx.flags()}")
    return None


@command(
    "pg:snapshots:capture",
    example='greenroom pg:snapshots:capture -a ach-payslip-staging --reason "before the demo"',
    json=True,
)
@click.option("--reason", default="", metavar="TEXT", help="A description of its purpose.")
@click.option("--pin", "pinned", is_flag=True, help="Keep it until a user deletes it.")
@click.option("--no-wait", is_flag=True, help="Do not wait until the snapshot is complete.")
def capture(cx: Context, reason: str, pinned: bool, no_wait: bool) -> int | None:
    """Take a snapshot of the app's database. The app keeps running."""
    row = cx.api.post(cx.path("pg", "snapshots"), {"reason": reason, "pinned": pinned})
    if not no_wait:
        with output.progress(f"Taking snapshot {row['name']} of {output.app_mark(cx.app)}") as step:
            row = _wait(cx, ("pg", "snapshots", row["id"]), step, ("succeeded", "failed"))
    if cx.as_json:
        output.print_json(row)
    if row["state"] == "failed":
        raise CliError(f"Snapshot {row['name']} failed: {row.get('failure')}")
    if not cx.as_json:
        output.hint(f"greenroom pg:restore {row['name']}{cx.flags()}")
    return None


def _wait(cx: Context, path: tuple[str, ...], step: output.progress, ends: tuple[str, ...]) -> dict[str, Any]:
    """Poll until the state is one of ``ends``; returns the row. CliError after PATIENCE seconds."""

    def over(row: Any) -> bool:
        step.state(row["state"])
        return row["state"] in ends

    row = cx.api.poll(cx.path(*path), done=over, seconds=PATIENCE)
    if row["state"] == "failed":
        step.end = "failed"
    elif row["state"] not in ends:
        raise CliError(f"{row['name']} is still {row['state']}.", hint="greenroom status")
    return row


@command("pg:snapshots:info", example="greenroom pg:snapshots:info b001 -a ach-payslip-staging", json=True)
@click.argument("snapshot")
def info(cx: Context, snapshot: str) -> int | None:
    """Show details of a snapshot and the data that a restore would lose."""
    row = cx.api.get(cx.path("pg", "snapshots", snapshot))
    if cx.as_json:
        output.print_json(row)
        return None
    migrations = row.get("migrations") or []
    output.heading(f"{cx.app} Snapshot {row['name']}")
    output.fields(
        [
            ("Kind", row["kind"].replace("_", " ")),
            ("State", row["state"]),
            ("Failure", row.get("failure")),
            ("Pinned", "yes" if row.get("pinned") else "no"),
            ("Reason", row.get("reason")),
            ("Taken", output.when(row.get("created_at"))),
            ("By", row.get("by")),
            ("Release", f"v{row['release']['version']}" if row.get("release") else ""),
            ("Size", f"{output.size_text(row.get('size_bytes'))} of {output.size_text(row.get('database_bytes'))}"),
            ("Took", f"{row.get('seconds') or 0:.1f} s"),
            ("Tables", row.get("tables")),
            ("Migrations", f"{len(migrations)}, the last: {migrations[-1]}" if migrations else "none"),
            ("SHA-256", row.get("sha256")),
            ("Since then", _lost(row) if row["state"] == "succeeded" else ""),
        ]
    )
    return None


def _lost(row: dict[str, Any]) -> str:
    """The data that a restore would lose, as a phrase."""
    loss = row.get("loss")
    if not loss:
        return "everything written since is lost"
    parts = [f"{_age(loss['seconds'])} of writes"]
    if loss.get("writes") is not None:
        parts[0] += f" (about {loss['writes']} rows)"
    if loss.get("migrations"):
        names = ", ".join(loss["migrations"][:5]) + (" ..." if len(loss["migrations"]) > 5 else "")
        parts.append(f"the migrations applied since: {names}")
    return "; ".join(parts)


def _age(seconds: float) -> str:
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {word}{'' if count == 1 else 's'}"
    return f"{int(seconds)} second{'' if int(seconds) == 1 else 's'}"


@command("pg:snapshots:pin", example="greenroom pg:snapshots:pin b001 -a ach-payslip-staging")
@click.argument("snapshot")
def pin(cx: Context, snapshot: str) -> int | None:
    """Pin a snapshot: it is kept until a user deletes it."""
    row = cx.api.patch(cx.path("pg", "snapshots", snapshot), {"pinned": True}).data
    output.note(f"{row['name']} is pinned.")
    output.hint(f"undo with: greenroom pg:snapshots:unpin {row['name']}{cx.flags()}")
    return None


@command("pg:snapshots:unpin", example="greenroom pg:snapshots:unpin b001 -a ach-payslip-staging")
@click.argument("snapshot")
def unpin(cx: Context, snapshot: str) -> int | None:
    """Unpin a snapshot: it is deleted when newer snapshots replace it."""
    row = cx.api.patch(cx.path("pg", "snapshots", snapshot), {"pinned": False}).data
    output.note(f"{row['name']} is no longer pinned.")
    return None


@command(
    "pg:snapshots:delete",
    example="greenroom pg:snapshots:delete b001 -a ach-payslip-staging --confirm ach-payslip-staging",
)
@click.argument("snapshot")
@click.option(
    "-c", "--confirm", "given", default="", metavar="NAME", help="The app's name, to confirm without a prompt."
)
def delete(cx: Context, snapshot: str, given: str) -> int | None:
    """Permanently delete a snapshot. The command asks for the app's name to confirm."""
    row = cx.api.get(cx.path("pg", "snapshots", snapshot))
    confirm(cx, given, name=cx.app, what=f"WARNING: This permanently deletes snapshot {row['name']} of {cx.app}.")
    cx.api.delete(cx.path("pg", "snapshots", row["id"]))
    output.note(f"{row['name']} is deleted.")
    return None


@command(
    "pg:restore", example="greenroom pg:restore b001 -a ach-payslip-staging --confirm ach-payslip-staging", json=True
)
@click.argument("snapshot")
@click.option(
    "-c", "--confirm", "given", default="", metavar="NAME", help="The app's name, to confirm without a prompt."
)
def restore(cx: Context, snapshot: str, given: str) -> int | None:
    """Restore the app's database from a snapshot.

    All later writes are lost. The command shows how many, and asks for the app's name to confirm. The replaced database
    is saved as a snapshot.
    """
    row = cx.api.get(cx.path("pg", "snapshots", snapshot))
    what = f"WARNING: This restores the database of {cx.app} to {row['name']} of {output.when(row.get('created_at'))}."
    confirm(cx, given, name=cx.app, what=f"{what} You lose: {_lost(row)}.")
    made = cx.api.post(cx.path("pg", "snapshots", row["id"], "actions", "restore"))
    with output.progress(f"Restoring the database of {output.app_mark(cx.app)} from {row['name']}") as step:
        made = _wait(cx, ("pg", "restores", made["id"]), step, ("done", "failed"))
    if cx.as_json:
        output.print_json(made)
    if made["state"] == "failed":
        raise CliError(f"The restore failed. The database is unchanged: {made.get('failure')}")
    if not cx.as_json:
        output.note(f"Lost: {_lost(row)}. The database was unavailable for {made['swap_seconds']:.2f} s.")
        output.hint(f"undo with: greenroom pg:restore {made['saved']}{cx.flags()}")
        output.hint(f"greenroom migrations{cx.flags()}")
    return None
