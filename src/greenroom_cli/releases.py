"""The verbs of releases, and the wait for a release to serve that config changes and rollbacks share."""

from __future__ import annotations

import re
import sys
from typing import Any

import click

from greenroom_cli import output
from greenroom_cli.config import waits
from greenroom_cli.context import Context, confirm, or_404, verb
from greenroom_cli.errors import ApiError, CliError

VERSION = re.compile(r"v?(\d+)\Z")
COLOURS = {"succeeded": "green", "failed": "red", "pending": "yellow", "expired": "dim"}


@verb("releases", example="greenroom releases -n 30 -a ach-payslip-staging", json=True)
@click.option("-n", "--num", default=15, show_default=True, type=click.IntRange(1, 1000), help="How many.")
def releases(cx: Context, num: int) -> int | None:
    """List releases, newest first."""
    rows = cx.api.get(cx.path("releases"), limit=num)[:num]
    if cx.as_json:
        output.print_json(rows)
        return None
    if not rows:
        output.note(f"{cx.app} has no releases.")
        return None
    current = next((row["version"] for row in rows if row.get("current")), None)
    output.heading(f"{cx.app} Releases" + (f" - Current: v{current}" if current else ""))
    output.table([_line(row) for row in rows], flexible=2)
    return None


def _line(row: dict[str, Any]) -> list[str]:
    status = row.get("status", "")
    shown = "refused" if row.get("refused") else status
    text = output.clean(row["description"]).replace("\n", " ")
    return [
        output.style(f"v{row['version']}", COLOURS.get(status, "dim")),
        "" if status == "succeeded" else output.style(shown, COLOURS.get(status, "dim")),
        text, output.clean(row["user"]["email"]), output.when(row["created_at"]),
    ]  # fmt: skip


@verb("releases:info", example="greenroom releases:info v12 -a ach-payslip-staging", json=True)
@click.argument("version", required=False, default="")
def info(cx: Context, version: str) -> int | None:
    """Show one release; without VERSION the current one."""
    row = one(cx, version)
    if cx.as_json:
        output.print_json(row)
        return None
    slug = row.get("slug") or {}
    output.heading(f"Release v{row['version']}")
    output.fields(
        [
            ("Change", row["description"]),
            ("By", row["user"]["email"]),
            ("Status", "refused" if row.get("refused") else row["status"]),
            ("Reason", (row.get("reason") or "").replace("\n", " ")),
            ("Current", "yes" if row.get("current") else "no"),
            ("Commit", slug.get("commit")),
            ("Slug", slug.get("id")),
            ("When", output.when(row["created_at"])),
        ]
    )
    return None


def number_of(text: str) -> int:
    """12 of ``v12`` or ``12``. UsageError for anything else."""
    match = VERSION.match(text)
    if not match:
        raise click.UsageError(f"{text!r} is not a release: v12 or 12 is meant.", click.get_current_context())
    return int(match[1])


def one(cx: Context, version: str) -> dict[str, Any]:
    """A release by version; without one, the current release or else the newest."""
    if version:
        try:
            return cx.api.get(cx.path("releases", str(number_of(version))))
        except ApiError as error:
            raise or_404(error, f"greenroom releases{cx.words()}") from error
    rows = cx.api.get(cx.path("releases"), limit=200)
    if not rows:
        raise CliError(f"{cx.app} has no releases.", hint="git push greenroom HEAD:master")
    return next((row for row in rows if row.get("current")), rows[0])


@verb("rollback", example="greenroom rollback v11 -a ach-payslip-staging")
@click.argument("version", required=False, default="")
@click.option("--force", is_flag=True, help="Also when its code needs columns that the database does not have any more, and whatever the app's policy says.")
@click.option("--confirm", "confirmed", metavar="APP", default="", help="The app's name: yes, also across migrations that were run since.")
@waits
def rollback(cx: Context, version: str, force: bool, confirmed: str, no_wait: bool, timeout: float) -> int | None:
    """Go back to an earlier release: its code and its config vars.

    Without VERSION it is the last one that served before. The database is not changed: migrations that were run stay run.
    Code that does not fit the database any more takes no traffic, unless it is forced. Across migrations that were run
    since, and after which no rehearsal saw this code work, it asks first.
    """
    before = one(cx, "")
    wanted = f"v{number_of(version)}" if version else ""
    failed = None
    with output.progress(f"Rolling back {output.app_mark(cx.app)}" + (f" to {wanted}" if wanted else "")) as step:
        body = {**({"release": wanted} if wanted else {}), **({"force": True} if force else {}), **({"confirm": confirmed} if confirmed else {})}
        row = _ask_for(cx, body)
        step.end = f"done, v{row['version']}"
        if not no_wait:
            failed = finish(cx, row["version"], step, timeout)
    if failed:
        raise failed
    output.say(f"v{row['version']}: {output.clean(row['description'])}")
    output.warn("Rollback affects code and config vars; it doesn't change the database.")
    output.hint(f"undo with: greenroom rollback v{before['version']}{cx.words()}")
    return None


def _ask_for(cx: Context, body: dict[str, Any]) -> Any:
    """Ask for the rollback; once more when it crosses migrations and the person types the app's name."""
    if body.get("confirm"):
        confirm(cx, body["confirm"], name=cx.app, what="")
    try:
        return cx.api.post(cx.path("releases"), body)
    except ApiError as error:
        if error.id != "rollback_across_migrations" or not sys.stdin.isatty():
            raise
        confirm(cx, "", name=cx.app, what=error.message)
        return cx.api.post(cx.path("releases"), {**body, "confirm": cx.app})


def finish(cx: Context, version: int, step: output.progress, seconds: float) -> CliError | None:
    """Wait until the release is no longer pending and give ``step`` its last word. The error to raise when it did not come up."""
    row = cx.api.poll(
        cx.path("releases", str(version)), done=lambda row: row["status"] != "pending", seconds=max(0.0, seconds)
    )
    status = row["status"]
    if status == "succeeded":
        step.end = f"done, v{version}"
        return None
    if status == "pending":
        step.end = f"v{version} is still on its way"
        return CliError(
            f"v{version} did not serve within {seconds:g} s. It may still come up.",
            hint=f"greenroom releases:info v{version}{cx.words()}",
        )
    step.end = "refused" if row.get("refused") else "failed"
    message, _, advice = (row.get("reason") or "").partition("\nhint: ")
    return CliError(
        f"v{version} was {'refused' if row.get('refused') else 'given up'}: {message or 'no reason was given'}",
        hint=advice or f"greenroom logs{cx.words()}",
    )
