"""The verbs of migrations: what is pending, run them by hand, try them on a copy.

Nothing here runs a migration that was not asked for by name; ``migrations:run`` is ``run`` with a report around it.
"""

from __future__ import annotations

import time
from typing import Any

import click

from greenroom_cli import output
from greenroom_cli.context import Context, verb
from greenroom_cli.deliveries import ENDED, EXIT_CODES
from greenroom_cli.errors import CliError

MIGRATE = ("python", "manage.py", "migrate")
RADAR_SECONDS = 20.0
SWITCH_SECONDS = 120.0
"""How long a held release may take to be live after its migrations."""


@verb("migrations", example="greenroom migrations -a ach-payslip-staging", json=True)
def migrations(cx: Context) -> int | None:
    """Show pending migrations (the code has them, the database has not) and who ran what.

    The code is that of the release that is held for its migrations, else of the live one.
    """
    row = cx.api.get(cx.path("migrations"))
    if cx.as_json:
        output.print_json(row)
        return None
    version = f" (v{row['release']['version']})" if row.get("release") else ""
    output.heading(f"{cx.app} Migrations{version}")
    if row.get("held"):
        output.warn("This release is held: it does not answer on the present schema, and goes live after its migrations.")
    _show_state(row)
    runs = row.get("runs") or []
    if runs:
        output.say()
        output.table(
            [_run_line(run) for run in runs], header=("Run by", "Command", "Result", "Applied", "When"), flexible=1
        )
    if row.get("pending"):
        output.hint(f"greenroom migrations:run{cx.words()}")
    return None


def _show_state(row: dict[str, Any]) -> None:
    status, pending, missing = row["status"], row.get("pending") or [], row.get("missing") or []
    if status == "none":
        output.say(output.clean(row.get("detail") or "") or "The app has no migrations.")
    elif status == "error":
        output.say(
            output.style("error", "red") + f": {output.clean(row.get('detail') or 'the database could not be asked')}"
        )
    elif status == "unknown":
        output.say("unknown" + (f": {output.clean(row['detail'])}" if row.get("detail") else ": not asked yet"))
    elif not pending:
        output.say(output.style("up to date", "green"))
    for name in pending:
        output.say(f"{output.style('pending', 'yellow')}  {output.clean(name)}")
    for name in missing:
        output.say(f"{output.style('missing', 'red')}  {output.clean(name)} (applied, but not in this code)")
    if row.get("probed_at"):
        output.note(f"asked {output.when(row['probed_at'])}")


def _run_line(run: dict[str, Any]) -> list[str]:
    code = run.get("exit_code")
    finished = run.get("finished_at")
    result = (
        "running"
        if not finished
        else output.style("ok", "green")
        if code == 0
        else output.style(f"exit code {code}", "red")
    )
    after = set(run.get("after") or ())
    applied = [name for name in run.get("before") or () if name not in after] if run.get("after") is not None else []
    command = output.clean(run["command"]).replace("\n", " ")
    return [output.clean(run["actor"]), command, result, str(len(applied)), output.when(run.get("started_at"))]


@verb(
    "migrations:run",
    example="greenroom migrations:run -a ach-payslip-staging\ngreenroom migrations:run -a ach-payslip-staging payslip 0003",
    raw=True,
)
@click.argument("words", nargs=-1, metavar="[ARGS]...", type=click.UNPROCESSED)
@click.option("--no-snapshot", is_flag=True, help="Without the snapshot that is taken before; it is noted in the audit log.")
def run_them(cx: Context, words: tuple[str, ...], no_snapshot: bool) -> int | None:
    """Run the app's migrations: `python manage.py migrate ARGS` in a one-off dyno.

    Takes a snapshot before, and says what is pending before and after. A release that was held for its migrations
    goes live afterwards. The exit code is that of the command.
    """
    import shlex

    from greenroom_cli.run import attach_and_wait

    before = cx.api.get(cx.path("migrations"))
    held = _held(cx) if before.get("held") else {}
    pending = before.get("pending") or []
    if before["status"] == "ok":
        output.note(f"Pending: {', '.join(pending) or 'nothing'}")
    code = attach_and_wait(cx, shlex.join((*MIGRATE, *words)), no_snapshot=no_snapshot)
    after = _asked_again(cx, before)
    taken = after["runs"][0].get("snapshot") if after.get("runs") else None
    if code != 0:
        output.complain(f"migrate ended with exit code {code}; what had been applied before the error stays applied.")
        output.hint(f"greenroom migrations{cx.words()}" + (f"   (go back: greenroom pg:restore {taken}{cx.words()})" if taken else ""))
        return code
    _report(cx, pending, after, taken)
    return _follow_held(cx, held) if held else 0


def _held(cx: Context) -> dict[str, Any]:
    """The delivery that is held now; empty when none is."""
    rows = cx.api.get(cx.path("deliveries"), limit=100)
    return next((row for row in rows if row["state"] == "held"), {})


def _follow_held(cx: Context, held: dict[str, Any]) -> int:
    """Wait until the delivery that was held is live, or has ended otherwise; held again has another end time."""

    def moved(row: dict[str, Any]) -> bool:
        return row["state"] in ENDED and (row["state"] != "held" or row["finished_at"] != held["finished_at"])

    with output.progress(f"Starting the held release of {output.app_mark(cx.app)}") as step:
        row = cx.api.poll(cx.path("deliveries", held["id"]), done=moved, seconds=SWITCH_SECONDS)
        step.end = row["state"]
    if row["state"] == "live":
        return 0
    output.complain(f"{row['state'].capitalize()}: {output.clean(row.get('reason') or '')}")
    output.hint(f"greenroom logs{cx.words()}")
    return EXIT_CODES.get(row["state"], 1)


def _asked_again(cx: Context, before: dict[str, Any]) -> dict[str, Any]:
    """The radar's answer from after the run: with a newer time, or another content."""
    began = time.monotonic()

    def renewed(row: dict[str, Any]) -> bool:
        known = [(run["id"], bool(run.get("finished_at"))) for run in before.get("runs") or ()]
        now = [(run["id"], bool(run.get("finished_at"))) for run in row.get("runs") or ()]
        over = all(finished for _, finished in now)
        fresh = row.get("probed_at") != before.get("probed_at") or row.get("pending") != before.get("pending")
        return (
            row["status"] != "unknown"
            and over
            and (fresh or (now != known and time.monotonic() - began > RADAR_SECONDS / 2))
        )

    return cx.api.poll(cx.path("migrations"), done=renewed, seconds=RADAR_SECONDS)


def _report(cx: Context, pending: list[str], after: dict[str, Any], taken: str | None) -> None:
    left = after.get("pending") or []
    applied = [name for name in pending if name not in left]
    if after["status"] != "ok":
        output.warn(f"What is pending now is not known: {after.get('detail') or after['status']}")
        output.hint(f"greenroom migrations{cx.words()}")
        return
    if applied:
        output.note(f"Applied: {', '.join(applied)}")
    output.note(f"Pending: {', '.join(left)}" if left else "The database is up to date.")
    if applied:
        first = applied[0].partition(".")
        output.hint(
            f"undo with: greenroom migrations:run{cx.words()} {first[0]} NAME   (NAME: the migration before {first[2]}, or zero)"
        )
        if taken:
            output.hint(f"or put the whole database back: greenroom pg:restore {taken}{cx.words()}")


@verb("migrations:rehearse", example="greenroom migrations:rehearse -a ach-payslip-staging")
def rehearse(cx: Context) -> int | None:
    """Try the pending migrations on a copy of the database and report what they would do."""
    with output.progress(f"Rehearsing the pending migrations of {output.app_mark(cx.app)}"):
        row = cx.api.post(cx.path("migrations", "actions", "rehearse"))
    if not isinstance(row, dict):
        raise CliError("The server's answer is not a rehearsal.", hint="greenroom version --server")
    output.fields(
        (key.replace("_", " ").capitalize(), _plain(value)) for key, value in row.items() if key not in ("id", "app")
    )
    return 0 if row.get("status") in (None, "ok", "succeeded") else 1


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
