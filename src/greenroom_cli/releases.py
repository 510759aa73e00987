"""Commands for releases, and ``finish``, which config changes and rollbacks use to wait for a release."""

from __future__ import annotations

import re
import sys
import time
from typing import Any

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command, confirm, or_404, waits
from greenroom_cli.errors import ApiError, CliError

VERSION = re.compile(r"v?(\d+)\Z")
PATIENCE = 600.0
"""Seconds to wait for a release when the server sends no limit."""
LONGEST = 86400.0
COLOURS = {"succeeded": "green", "failed": "red", "pending": "yellow", "expired": "dim"}


@command("releases", example="greenroom releases -n 30 -a ach-payslip-staging", json=True)
@click.option("-n", "--num", default=15, show_default=True, type=click.IntRange(1, 1000), help="Number of releases.")
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
    _print_next_step(cx, rows[0])
    return None


def _print_next_step(cx: Context, row: dict[str, Any]) -> None:
    """The hint of a failed release, and the command to retry it."""
    if row.get("status") != "failed":
        return
    advice = (row.get("reason") or "").partition("\nhint: ")[2]
    if advice:
        output.hint(output.clean(advice))
    if not row.get("refused"):
        output.hint(f"to retry v{row['version']}: greenroom releases:retry{cx.flags()}")


def _line(row: dict[str, Any]) -> list[str]:
    status = row.get("status", "")
    shown = "refused" if row.get("refused") else status
    text = output.clean(row["description"]).replace("\n", " ")
    return [
        output.style(f"v{row['version']}", COLOURS.get(status, "dim")),
        "" if status == "succeeded" else output.style(shown, COLOURS.get(status, "dim")),
        text,
        output.clean(row["user"]["email"]),
        output.when(row["created_at"]),
    ]


@command("releases:info", example="greenroom releases:info v12 -a ach-payslip-staging", json=True)
@click.argument("version", required=False, default="")
def info(cx: Context, version: str) -> int | None:
    """Show details of a release (default: the current one)."""
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
            ("Reason", (row.get("reason") or "").partition("\nhint: ")[0].replace("\n", " ")),
            ("Current", "yes" if row.get("current") else "no"),
            ("Commit", slug.get("commit")),
            ("Slug", slug.get("id")),
            ("When", output.when(row["created_at"])),
        ]
    )
    _print_next_step(cx, row)
    return None


def number_of(text: str) -> int:
    """12 of ``v12`` or ``12``. UsageError for anything else."""
    match = VERSION.match(text)
    if not match:
        raise click.UsageError(f"{text!r} is not a release version, like v12 or 12.", click.get_current_context())
    return int(match[1])


def one(cx: Context, version: str) -> dict[str, Any]:
    """The release with that version; without one, the current release, or else the newest."""
    if version:
        try:
            return cx.api.get(cx.path("releases", str(number_of(version))))
        except ApiError as error:
            raise or_404(error, f"greenroom releases{cx.flags()}") from error
    rows = cx.api.get(cx.path("releases"), limit=200)
    if not rows:
        raise CliError(f"{cx.app} has no releases.", hint="git push greenroom HEAD:master")
    return next((row for row in rows if row.get("current")), rows[0])


@command("rollback", example="greenroom rollback v11 -a ach-payslip-staging")
@click.argument("version", required=False, default="")
@click.option(
    "--force",
    is_flag=True,
    help=(
        "Roll back although the code needs columns that are no longer in the database, and despite the app's policy."
    ),
)
@click.option(
    "--confirm",
    "confirmed",
    metavar="APP",
    default="",
    help="The app's name, to confirm a rollback across migrations.",
)
@waits
def rollback(
    cx: Context, version: str, force: bool, confirmed: str, no_wait: bool, timeout: float | None
) -> int | None:
    """Roll back to an earlier release: its code and its config vars.

    Without VERSION, to the previous live release. The database is not changed: applied migrations stay applied. Code
    that does not work with the current schema takes no traffic, unless --force is given. If migrations have been
    applied since, and no rehearsal has shown that the old code works with them, the command asks for confirmation.
    """
    before = served(cx)
    wanted = f"v{number_of(version)}" if version else ""
    failed = None
    with output.progress(f"Rolling back {output.app_mark(cx.app)}" + (f" to {wanted}" if wanted else "")) as step:
        body = {
            **({"release": wanted} if wanted else {}),
            **({"force": True} if force else {}),
            **({"confirm": confirmed} if confirmed else {}),
        }
        row = _request_rollback(cx, body)
        step.end = f"done, v{row['version']}"
        if not no_wait:
            failed = finish(cx, row["version"], step, timeout)
    if failed:
        raise failed
    output.say(f"v{row['version']}: {output.clean(row['description'])}")
    output.warn("Rollback affects code and config vars; it doesn't change the database.")
    if before:
        output.hint(f"undo with: greenroom rollback v{before}{cx.flags()}")
    return None


@command("releases:retry", example="greenroom releases:retry -a ach-payslip-staging")
@waits
def retry(cx: Context, no_wait: bool, timeout: float | None) -> int | None:
    """Release the newest slug again with the current config vars.

    Use it after a release has failed or was refused. For a live release, it runs the release command again.
    """
    rows = [row for row in cx.api.get(cx.path("releases"), limit=20) if row.get("slug")]
    if not rows:
        raise CliError(f"{cx.app} has no release with code.", hint="git push greenroom HEAD:master")
    failed = None
    with output.progress(f"Retrying v{rows[0]['version']} on {output.app_mark(cx.app)}") as step:
        row = cx.api.post(cx.path("releases"), {"slug": rows[0]["slug"]["id"]})
        step.end = f"done, v{row['version']}"
        if not no_wait:
            failed = finish(cx, row["version"], step, timeout)
    if failed:
        raise failed
    return None


def served(cx: Context) -> int | None:
    """The live version, if a rollback can return to it; None before the first deploy."""
    row = cx.api.get(cx.path("releases", "current"))
    return row["version"] if row.get("eligible_for_rollback") else None


def _request_rollback(cx: Context, body: dict[str, Any]) -> Any:
    """Request the rollback; across migrations, again after the user has typed the app's name."""
    if body.get("confirm"):
        confirm(cx, body["confirm"], name=cx.app, what="")
    try:
        return cx.api.post(cx.path("releases"), body)
    except ApiError as error:
        if error.id != "rollback_across_migrations" or not sys.stdin.isatty():
            raise
        confirm(cx, "", name=cx.app, what=error.message)
        return cx.api.post(cx.path("releases"), {**body, "confirm": cx.app})


def finish(cx: Context, version: int, step: output.progress, seconds: float | None) -> CliError | None:
    """Wait until the release is no longer pending and set ``step.end``. Returns the error to raise, or None when it is
    live.

    seconds: how long to wait; None: as long as the platform gives the release. A release that a newer one has replaced
    gets the result of the newer one.
    """
    began = time.monotonic()

    def over(row: dict[str, Any]) -> bool:
        late = seconds is None and time.monotonic() - began >= row.get("patience", PATIENCE)
        return row["status"] != "pending" or bool(row.get("held")) or late

    row = cx.api.poll(
        cx.path("releases", str(version)), done=over, seconds=LONGEST if seconds is None else max(0.0, seconds)
    )
    status = row["status"]
    if status == "expired":
        newer = max(int(other["version"]) for other in cx.api.get(cx.path("releases"), limit=5))
        if newer > version:
            return finish(cx, newer, step, seconds)
    if status == "succeeded":
        step.end = f"done, v{version}"
        return None
    if row.get("held"):
        step.end = f"v{version} is held"
        return CliError(
            f"v{version} is held for its migrations. The previous release keeps serving.",
            hint=f"greenroom migrations{cx.flags()}",
        )
    if status == "pending":
        step.end = f"v{version} is still starting"
        return CliError(
            f"v{version} is not live after {row.get('patience', PATIENCE) if seconds is None else seconds:g} s. It may"
            " still start.",
            hint=f"greenroom releases:info v{version}{cx.flags()}",
        )
    step.end = "refused" if row.get("refused") else "failed"
    return _failure(cx, row, version)


def _failure(cx: Context, row: dict[str, Any], version: int) -> CliError:
    message, _, advice = (row.get("reason") or "").partition("\nhint: ")
    return CliError(
        f"v{version} {'was refused' if row.get('refused') else 'failed'}: {message or 'no reason was given'}",
        hint=advice or f"greenroom logs{cx.flags()}   (to retry: greenroom releases:retry{cx.flags()})",
    )
