"""Commands for migrations: show pending ones, run them, rehearse them on a copy.

Migrations run only on request; ``migrations:run`` is ``run`` with a report before and after.
"""

from __future__ import annotations

import time
from typing import Any

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command
from greenroom_cli.deliveries import ENDED, EXIT_CODES
from greenroom_cli.errors import CliError

COMMANDS = {"alembic": ("alembic", "upgrade")}
DJANGO = ("python", "manage.py", "migrate")
HEALTH_SECONDS = 6.0
"""Seconds to wait for the health of the live release after a migrate."""
RADAR_SECONDS = 20.0
REHEARSAL_SECONDS = 1200.0
SWITCH_SECONDS = 120.0
"""Seconds until a held release must be live after its migrations."""


@command("migrations", example="greenroom migrations -a ach-payslip-staging", json=True)
def migrations(cx: Context) -> int | None:
    """Show pending migrations and the history of migrate commands.

    Pending migrations are in the code but not applied to the database. The code is that of the held release, else of
    the live one.
    """
    row = cx.api.get(cx.path("migrations"))
    if cx.as_json:
        output.print_json(row)
        return None
    version = f" (v{row['release']['version']})" if row.get("release") else ""
    output.heading(f"{cx.app} Migrations{version}")
    if row.get("held"):
        output.warn(
            "This release is held: it needs a newer database schema. It goes live after its migrations have run."
        )
    _show_state(row)
    _show_conflicts(row)
    _show_warnings(row.get("warnings") or [])
    _show_rehearsal(row.get("rehearsal"), row.get("pending") or [])
    runs = row.get("runs") or []
    if runs:
        output.say()
        output.table(
            [_run_line(run) for run in runs], header=("Run by", "Command", "Result", "Applied", "When"), flexible=1
        )
    if row.get("pending"):
        output.hint(f"greenroom migrations:run{cx.flags()}")
    return None


def _show_state(row: dict[str, Any]) -> None:
    status, pending, missing = row["status"], row.get("pending") or [], row.get("missing") or []
    if status == "none":
        output.say(output.clean(row.get("detail") or "") or "The app has no migrations.")
    elif status == "error":
        output.say(
            output.style("error", "red") + f": {output.clean(row.get('detail') or 'the database could not be queried')}"
        )
    elif status == "unknown":
        output.say("unknown" + (f": {output.clean(row['detail'])}" if row.get("detail") else ": not checked yet"))
    elif not pending:
        output.say(output.style("up to date", "green"))
    for name in pending:
        output.say(f"{output.style('pending', 'yellow')}  {output.clean(name)}")
    for name in missing:
        output.say(
            f"{output.style('missing', 'red')}  {output.clean(name)} (applied, but not in this code: applied from"
            " another branch, or its Django app was removed)"
        )
    if status == "ok" and row.get("detail"):
        output.note(output.clean(row["detail"]))
    if row.get("probed_at"):
        output.note(f"checked {output.when(row['probed_at'])}")


def _show_conflicts(row: dict[str, Any]) -> None:
    """Conflicting migrations (several leaf nodes), and model changes without a migration."""
    for app, names in (row.get("conflicts") or {}).items():
        output.say(
            f"{output.style('conflict', 'red')} {output.clean(app)}: {output.clean(' and '.join(names))}: no migration"
            " can run until they are merged (makemigrations --merge)"
        )
    for text in row.get("unmade") or ():
        output.say(f"{output.style('unmade', 'red')}   {output.clean(text)} (in the models, but not in a migration)")


def _show_warnings(rows: list[dict[str, Any]]) -> None:
    """The risks of the pending migrations, each with a safe alternative."""
    if rows:
        output.say()
    for row in rows:
        output.say(f"{output.style('risk', 'yellow')}     {output.clean(row['line'])}")
        output.say(f"         safe: {output.clean(row['recipe'])}")


COLOURS = {"green": "green", "amber": "yellow", "red": "red"}


def _show_rehearsal(row: dict[str, Any] | None, pending: list[str]) -> None:
    """A summary of the newest rehearsal, if it covers exactly the pending migrations."""
    if not row or row["pending"] != pending or not pending:
        return
    output.say()
    if row["state"] in ("wanted", "running"):
        output.say(f"Rehearsal {row['number']} is running: {output.clean(row['step'] or 'waiting in the queue')}")
        return
    word = output.style(row["colour"] or row["state"], COLOURS.get(row["colour"] or "", "red"))
    output.say(f"Rehearsal {row['number']} ({output.when(row['finished_at'])}): {word}")
    _print_summary(row)
    if row["state"] == "done":
        output.note(f"full report: greenroom migrations:rehearsal {row['number']} -a {row['app']['name']}")


def _print_summary(row: dict[str, Any]) -> None:
    """The summary, one part per line."""
    for part in row["summary"].removesuffix(".").split("; "):
        output.say(f"  {output.clean(part)}")


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


@command(
    "migrations:run",
    example=(
        "greenroom migrations:run -a ach-payslip-staging\ngreenroom migrations:run -a ach-payslip-staging payslip 0003"
    ),
    raw=True,
)
@click.argument("words", nargs=-1, metavar="[ARGS]...", type=click.UNPROCESSED)
@click.option("--no-snapshot", is_flag=True, help="Do not take a snapshot first (recorded in the audit log).")
@click.option("--force", is_flag=True, help="Run the migrations although the rehearsal was red.")
def run_them(cx: Context, words: tuple[str, ...], no_snapshot: bool, force: bool) -> int | None:
    """Run the app's migrations: `python manage.py migrate ARGS`, or `alembic upgrade ARGS`, in a one-off dyno.

    Takes a snapshot first, and shows the pending migrations before and after. A held release goes live afterwards.
    The exit code is that of the command.
    """
    import shlex

    from greenroom_cli.run import attach_and_wait

    before = cx.api.get(cx.path("migrations"))
    if before["status"] == "none":
        raise CliError(
            before.get("detail") or f"{cx.app} has no migrations.",
            hint=f"to run another command: greenroom run{cx.flags()} -- COMMAND",
        )
    held = _held(cx) if before.get("held") else {}
    pending = before.get("pending") or []
    if before["status"] == "ok":
        output.note(f"Pending: {', '.join(pending) or 'none'}")
    command = COMMANDS.get(before.get("framework") or "", DJANGO)
    line = shlex.join((*command, *(words or (("head",) if command is not DJANGO else ()))))
    code = attach_and_wait(cx, line, no_snapshot=no_snapshot, force=force)
    after = _radar_after(cx, before)
    taken = after["runs"][0].get("snapshot") if after.get("runs") else None
    if code != 0:
        output.complain(
            f"migrate failed with exit code {code}. Migrations that completed before the error stay applied."
        )
        output.hint(
            f"greenroom migrations{cx.flags()}"
            + (f"   (restore: greenroom pg:restore {taken}{cx.flags()})" if taken else "")
        )
        return code
    _report(cx, before, after, taken)
    _print_measurements(cx, after)
    return _follow_held(cx, held) if held else 0


def _print_measurements(cx: Context, after: dict[str, Any]) -> None:
    """The duration and longest lock of each migration beside those of the rehearsal, and the health of the live
    release.
    """
    run = (after.get("runs") or [{}])[0]
    lines = [
        [output.clean(one["name"]), *_figures(one), *_figures(one.get("rehearsed") or {})]
        for one in run.get("migrations") or ()
    ]
    if lines:
        output.note("")
        every = [["Migration", "Took", "Blocked", "Rehearsed", "Blocked in rehearsal"], *lines]
        widths = [max(len(line[number]) for line in every) for number in range(5)]
        for line in every:
            cells = [
                cell.rjust(width) if number in (1, 3) else cell.ljust(width)
                for number, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            output.note("  ".join(cells).rstrip())
    if run and not run.get("health"):
        found = cx.api.poll(
            cx.path("migrations"), done=lambda row: bool(row["runs"][0].get("health")), seconds=HEALTH_SECONDS
        )
        run = found["runs"][0]
    if run.get("health"):
        output.note(f"Health of the live release: {output.clean(run['health'])}")


BRIEF = 0.1
"""Seconds: shorter locks are not reported, because sampling sees them only by chance."""
WRITE_BLOCKING = ("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock")


def _figures(one: dict[str, Any]) -> list[str]:
    """``0.42 s`` and ``writes to payroll_payrun 0.4 s``; two empty cells without a measurement."""
    if one.get("seconds") is None:
        return ["", ""]
    held = [
        (lock["seconds"], lock["mode"], lock["table"])
        for lock in one.get("locks") or ()
        if lock["mode"] in WRITE_BLOCKING
    ]
    seconds, mode, table = max(held, default=(0.0, "", ""))
    what = "reads of" if mode == "AccessExclusiveLock" else "writes to"
    blocked = f"{what} {output.clean(table)} {seconds:.2f} s" if seconds >= BRIEF else f"nothing for {BRIEF} s or more"
    return [f"{one['seconds']:.2f} s", blocked]


def _held(cx: Context) -> dict[str, Any]:
    """The held delivery; empty when none is held."""
    rows = cx.api.get(cx.path("deliveries"), limit=100)
    return next((row for row in rows if row["state"] == "held"), {})


def _follow_held(cx: Context, held: dict[str, Any]) -> int:
    """Wait until the held delivery is live or has ended; returns the exit code. A delivery that is held again has
    another ``finished_at``.
    """

    def moved(row: dict[str, Any]) -> bool:
        return row["state"] in ENDED and (row["state"] != "held" or row["finished_at"] != held["finished_at"])

    with output.progress(f"Starting the held release of {output.app_mark(cx.app)}") as step:
        row = cx.api.poll(cx.path("deliveries", held["id"]), done=moved, seconds=SWITCH_SECONDS)
        step.end = row["state"]
    if row["state"] == "live":
        return 0
    output.complain(f"{row['state'].capitalize()}: {output.clean(row.get('reason') or '')}")
    output.hint(f"greenroom logs{cx.flags()}")
    return EXIT_CODES.get(row["state"], 1)


def _radar_after(cx: Context, before: dict[str, Any]) -> dict[str, Any]:
    """The radar's state after the run: with a newer ``probed_at`` or other pending migrations."""
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


def _report(cx: Context, before: dict[str, Any], after: dict[str, Any], taken: str | None) -> None:
    pending = before.get("pending") or []
    left = after.get("pending") or []
    applied = [name for name in pending if name not in left]
    if after["status"] != "ok":
        output.warn(f"The pending migrations are unknown: {after.get('detail') or after['status']}")
        output.hint(f"greenroom migrations{cx.flags()}")
        return
    if applied:
        output.note(f"Applied: {', '.join(applied)}")
    output.note(f"Pending: {', '.join(left)}" if left else "The database is up to date.")
    if applied:
        undo = (before.get("undo") or []) if not left else []
        for number, arguments in enumerate(undo):
            output.hint(
                f"{'undo with:' if number == 0 else '     then:'} greenroom migrations:run{cx.flags()}"
                f" {output.clean(arguments)}"
            )
        if taken:
            output.hint(f"{'or ' if undo else ''}restore the database: greenroom pg:restore {taken}{cx.flags()}")


@command("migrations:rehearse", example="greenroom migrations:rehearse -a ach-payslip-staging", json=True)
def rehearse(cx: Context) -> int | None:
    """Rehearse the pending migrations on a copy of the database and report their effects.

    The app and its database stay unchanged. The migrations run on the copy, in a dyno without network access. The old
    and the new code are tested on both schemas, and the copy is dropped. Exit code 1: red, or the rehearsal failed.
    """
    row = cx.api.post(cx.path("migrations", "actions", "rehearse"))
    if not isinstance(row, dict) or "number" not in row:
        raise CliError("The server's response is not a rehearsal.", hint="greenroom version --server")
    with output.progress(f"Rehearsing migrations of {output.app_mark(cx.app)} on a copy of its database") as step:
        row = cx.api.poll(
            cx.path("rehearsals", str(row["number"])),
            done=lambda one: one["state"] in ("done", "failed"),
            seconds=REHEARSAL_SECONDS,
        )
        step.end = row["colour"] or row["state"]
    return _print_rehearsal(cx, row)


@command("migrations:rehearsal", example="greenroom migrations:rehearsal 4 -a ach-payslip-staging --json", json=True)
@click.argument("number", type=int, metavar="NUMBER")
def show_rehearsal(cx: Context, number: int) -> int | None:
    """Show the report of a rehearsal."""
    return _print_rehearsal(cx, cx.api.get(cx.path("rehearsals", str(number))))


def _print_rehearsal(cx: Context, row: dict[str, Any]) -> int:
    if cx.as_json:
        output.print_json(row)
    elif row["state"] == "done":
        output.say(output.clean(row["text"]))
        output.say()
        _print_summary(row)
        report = row.get("report") or {}
        if seconds := report.get("seconds"):
            took = f"dump {seconds['dump']:.1f} s, load {seconds['load']:.1f} s, total {seconds['whole']:.1f} s"
            output.note(f"Copy of {report['bytes'] / 1e6:.0f} MB: {took}.")
        for limit in report.get("limits") or ():
            output.note(f"Note: {limit}.")
    else:
        output.complain(f"Rehearsal {row['number']} {row['state']}: {output.clean(row['failure'] or row['step'])}")
    return 0 if row["state"] == "done" and row["colour"] != "red" else 1
