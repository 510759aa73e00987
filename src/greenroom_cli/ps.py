"""Commands for dynos and the formation: list, scale, restart, stop."""

from __future__ import annotations

import re
from typing import Any

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command, or_404
from greenroom_cli.errors import ApiError

SCALE = re.compile(r"(?P<type>[A-Za-z0-9][A-Za-z0-9_-]*?)(?P<quantity>[=+-]\d+)(:(?P<size>[\w-]+))?\Z")
ONE_OFF = {"run": "one-off processes", "scheduler": "processes of jobs"}
COLOURS = {"up": "green", "starting": "yellow", "stopping": "yellow", "crashed": "red", "down": "red"}


@command("ps", example="greenroom ps -a ach-payslip-staging\ngreenroom ps web", json=True)
@click.argument("types", nargs=-1, metavar="[TYPE]...")
def ps(cx: Context, types: tuple[str, ...]) -> int | None:
    """List dynos: the formation by process type, then one-off dynos."""
    rows = [row for row in cx.api.get(cx.path("dynos")) if not types or row["type"] in types]
    if cx.as_json:
        output.print_json(rows)
        return None
    if not rows:
        output.note(f"No dynos{' of type ' + ', '.join(types) if types else ''} on {output.app_mark(cx.app)}")
        return None
    formation = [row for row in rows if row["type"] not in ONE_OFF]
    versions = {row["release"]["version"] for row in formation}
    first = True
    for kind in sorted({row["type"] for row in formation}):
        members = sorted((row for row in formation if row["type"] == kind), key=_order)
        _gap(first)
        first = False
        command = output.clean(members[0]["command"])
        output.heading(f"{kind} ({members[0]['size']}): {command} ({len(members)})")
        for row in members:
            output.say(_line(row, with_version=len(versions) > 1))
    for kind, title in ONE_OFF.items():
        members = sorted((row for row in rows if row["type"] == kind), key=_order)
        if members:
            _gap(first)
            first = False
            output.heading(f"{kind}: {title} ({len(members)})")
        for row in members:
            output.say(f"{_line(row, size=True)}: {output.clean(row['command'])}")
    return None


def _gap(first: bool) -> None:
    if not first:
        output.say()


def _order(row: dict[str, Any]) -> tuple[int, int]:
    number = row["name"].rpartition(".")[2]
    return int(number) if number.isdigit() else 0, row["release"]["version"]


def _line(row: dict[str, Any], *, size: bool = False, with_version: bool = False) -> str:
    state = output.style(row["state"], COLOURS.get(row["state"], "dim"))
    text = f"{row['name']}{' (' + row['size'] + ')' if size else ''}: {state} {output.when(row['updated_at'])}"
    if with_version:
        text += f" v{row['release']['version']}"
    if row["state"] == "crashed" and row.get("detail"):
        text += f": {output.clean(row['detail'])}"
    return text


@command("ps:scale", example="greenroom ps:scale web=2 worker+1 -a ach-payslip-staging", json=True)
@click.argument("changes", nargs=-1, metavar="[TYPE=N|TYPE+N|TYPE-N[:SIZE]]...")
def scale(cx: Context, changes: tuple[str, ...]) -> int | None:
    """Set the number and size of dynos; without arguments, show them.

    TYPE is a process type of the Procfile. `worker+1` adds a dyno, `worker-1` removes one, `web=2:standard-2x` also
    sets the size.
    """
    updates = [_update(change) for change in changes]
    before = cx.api.get(cx.path("formation"))
    if not updates:
        if cx.as_json:
            output.print_json(before)
        else:
            output.say(" ".join(f"{row['type']}={row['quantity']}:{row['size']}" for row in before))
        return None
    with output.progress("Scaling dynos") as step:
        rows = cx.api.patch(cx.path("formation"), {"updates": updates}).data
        step.end = "done, now running " + ", ".join(f"{row['type']} at {row['quantity']}:{row['size']}" for row in rows)
    if cx.as_json:
        output.print_json(rows)
    touched = {update["type"] for update in updates}
    undo = " ".join(f"{row['type']}={row['quantity']}:{row['size']}" for row in before if row["type"] in touched)
    if undo:
        output.hint(f"undo with: greenroom ps:scale {undo}{cx.flags()}")
    return None


def _update(change: str) -> dict[str, str]:
    match = SCALE.match(change)
    if not match:
        raise click.UsageError(
            f"{change} is invalid. Must be like web=2, worker+1 or web=1:standard-2x.", click.get_current_context()
        )
    update = {"type": match["type"], "quantity": match["quantity"].lstrip("=")}
    return {**update, "size": match["size"]} if match["size"] else update


@command("ps:restart", example="greenroom ps:restart web.1 -a ach-payslip-staging")
@click.argument("dyno", required=False, default="")
def restart(cx: Context, dyno: str) -> int | None:
    """Restart all dynos, or one (web.1).

    The old dynos serve until the new ones answer.
    """
    what = f"{output.style(dyno, 'cyan')} dyno" if dyno else "all dynos"
    with output.progress(f"Restarting {what} on {output.app_mark(cx.app)}"):
        _with_hint(cx, lambda: cx.api.delete(cx.path("dynos", dyno) if dyno else cx.path("dynos")))
    output.hint(f"watch with: greenroom ps{cx.flags()}")
    return None


@command("ps:stop", example="greenroom ps:stop run.4821 -a ach-payslip-staging")
@click.argument("dyno")
def stop(cx: Context, dyno: str) -> int | None:
    """Stop a dyno. A dyno of the formation is started again, a one-off dyno is not."""
    with output.progress(f"Stopping {output.style(dyno, 'cyan')} dyno on {output.app_mark(cx.app)}"):
        _with_hint(cx, lambda: cx.api.post(cx.path("dynos", dyno, "actions", "stop")))
    return None


def _with_hint(cx: Context, call: Any) -> None:
    try:
        call()
    except ApiError as error:
        raise or_404(error, f"greenroom ps{cx.flags()}") from error
