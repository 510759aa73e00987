"""Commands for snapshots of volumes: take, list, delete, restore."""

from __future__ import annotations

from typing import Any

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command, confirm
from greenroom_cli.errors import CliError

PATIENCE = 7200.0
"""Seconds to wait for the worker."""


@command("volumes:snapshots", example="greenroom volumes:snapshots media -a ach-payslip-staging", json=True)
@click.argument("volume")
def snapshots(cx: Context, volume: str) -> int | None:
    """List the snapshots of a volume, newest first."""
    rows = cx.api.everything(cx.path("volumes", volume, "snapshots"))
    if cx.as_json:
        output.print_json(rows)
        return None
    if not rows:
        output.note(f"{volume} has no snapshots.")
        output.hint(f"greenroom volumes:snapshot {volume}{cx.flags()}")
        return None
    output.heading(f"{cx.app} Snapshots of {volume}")
    lines = [
        [
            row["name"],
            row["kind"].replace("_", " "),
            row["state"],
            output.size_text(row["size_bytes"]),
            output.clean(row.get("failure") or row.get("reason") or ""),
            output.when(row["created_at"]),
        ]
        for row in rows
    ]
    output.table(lines, header=("Name", "Kind", "State", "Size", "Reason", "When"), flexible=4)
    output.hint(f"greenroom volumes:restore {volume} NAME{cx.flags()}")
    return None


@command("volumes:snapshot", example="greenroom volumes:snapshot media -a ach-payslip-staging", json=True)
@click.argument("volume")
@click.option("--reason", default="", metavar="TEXT", help="A description of its purpose.")
@click.option("--no-wait", is_flag=True, help="Do not wait until the snapshot is complete.")
def snapshot(cx: Context, volume: str, reason: str, no_wait: bool) -> int | None:
    """Take a snapshot of a volume. The app keeps running.

    A file that the app changes meanwhile may be saved in part. The newest five snapshots are kept.
    """
    row = cx.api.post(cx.path("volumes", volume, "snapshots"), {"reason": reason})
    if not no_wait:
        with output.progress(f"Taking snapshot {row['name']} of {volume}") as step:
            row = _wait(cx, ("volumes", volume, "snapshots", row["name"]), step, ("succeeded", "failed"))
    if cx.as_json:
        output.print_json(row)
    if row["state"] == "failed":
        raise CliError(f"Snapshot {row['name']} failed: {row.get('failure')}")
    if not cx.as_json:
        output.hint(f"greenroom volumes:restore {volume} {row['name']}{cx.flags()}")
    return None


def _wait(cx: Context, path: tuple[str, ...], step: output.progress, ends: tuple[str, ...]) -> dict[str, Any]:
    """Poll until the state is one of ``ends``; returns the row. CliError after PATIENCE seconds."""

    def over(row: Any) -> bool:
        step.state(row["state"])
        return row["state"] in ends

    row: dict[str, Any] = cx.api.poll(cx.path(*path), done=over, seconds=PATIENCE)
    if row["state"] == "failed":
        step.end = "failed"
    elif row["state"] not in ends:
        raise CliError(f"{row['name']} is still {row['state']}.", hint="greenroom status")
    return row


@command(
    "volumes:snapshots:delete",
    example="greenroom volumes:snapshots:delete media b001 -a ach-payslip-staging --confirm ach-payslip-staging",
)
@click.argument("volume")
@click.argument("snapshot")
@click.option(
    "-c", "--confirm", "given", default="", metavar="NAME", help="The app's name, to confirm without a prompt."
)
def delete(cx: Context, volume: str, snapshot: str, given: str) -> int | None:
    """Permanently delete a snapshot of a volume. The command asks for the app's name to confirm."""
    row = cx.api.get(cx.path("volumes", volume, "snapshots", snapshot))
    confirm(cx, given, name=cx.app, what=f"WARNING: This permanently deletes snapshot {row['name']} of {volume}.")
    cx.api.delete(cx.path("volumes", volume, "snapshots", row["name"]))
    output.note(f"{row['name']} is deleted.")
    return None


@command(
    "volumes:restore",
    example="greenroom volumes:restore media b001 -a ach-payslip-staging --confirm ach-payslip-staging",
    json=True,
)
@click.argument("volume")
@click.argument("snapshot")
@click.option(
    "-c", "--confirm", "given", default="", metavar="NAME", help="The app's name, to confirm without a prompt."
)
def restore(cx: Context, volume: str, snapshot: str, given: str) -> int | None:
    """Restore a volume from a snapshot. The replaced files become a snapshot, and the app's dynos restart."""
    row = cx.api.get(cx.path("volumes", volume, "snapshots", snapshot))
    what = f"WARNING: This restores {volume} of {cx.app} to {row['name']} of {output.when(row['created_at'])}."
    confirm(cx, given, name=cx.app, what=what)
    made = cx.api.post(cx.path("volumes", volume, "snapshots", row["name"], "actions", "restore"))
    with output.progress(f"Restoring {volume} of {output.app_mark(cx.app)} from {row['name']}") as step:
        made = _wait(cx, ("volumes", volume, "restores", made["name"]), step, ("done", "failed"))
    if cx.as_json:
        output.print_json(made)
    if made["state"] == "failed":
        raise CliError(f"The restore failed. The files are unchanged: {made.get('failure')}")
    if not cx.as_json:
        output.hint(f"undo with: greenroom volumes:restore {volume} {made['saved']}{cx.flags()}")
    return None
