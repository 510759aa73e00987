"""Commands for findings and the gate policy: upload SARIF files, ignore findings, set the policy."""

from __future__ import annotations

import base64
import gzip
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from greenroom_cli import git, output
from greenroom_cli.checks import MOMENTS, SPAN, check_line
from greenroom_cli.context import Context, command
from greenroom_cli.errors import CliError

MAX_BYTES = 50 * 1024 * 1024
MINUTES = {"m": 1, "h": 60, "d": 1440}


@command("checks:upload", example="greenroom checks:upload bandit bandit.sarif --sha HEAD -a ach-payslip-staging")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--sha", default="", metavar="SHA", help="The scanned commit (default: the newest push).")
@click.option(
    "--root",
    default="",
    metavar="DIR",
    help="The root of the repository, to make absolute paths relative (default: this repository).",
)
def upload(cx: Context, name: str, file: Path, sha: str, root: str) -> int | None:
    """Upload the findings of a tool as a SARIF 2.1.0 file, plain or gzipped. They become the check scan/NAME.

    Findings that are already deployed do not count. Exit code 1 when the check has not passed.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise CliError(
            f"Cannot read {file}: {error.strerror}.",
            hint="specify the tool, then the file: checks:upload bandit bandit.sarif",
        ) from error
    if len(data) > MAX_BYTES:
        raise CliError(
            f"{file} is larger than {MAX_BYTES >> 20} MB.",
            hint="scan fewer files, or report fewer rules",
        )
    packed = data if data[:2] == b"\x1f\x8b" else gzip.compress(data)
    body = {"name": name, "sarif": base64.b64encode(packed).decode(), "root": root or _checkout()}
    if sha:
        body["sha"] = git.commit(sha)
    with output.progress(f"Reporting {file.name} as scan/{name} to {output.app_mark(cx.app)}"):
        rows = cx.api.post(cx.path("scans"), body)
    output.table([check_line(row) for row in rows], flexible=3)
    for row in rows:
        for note in row.get("notes") or []:
            output.note(output.clean(note))
    if all(row["conclusion"] == "success" for row in rows):
        return None
    output.hint(f"greenroom checks:info {rows[0]['name']} {rows[0]['sha'][:12]}{cx.flags()}")
    return 1


def _checkout() -> str:
    """The root of this repository, or the current folder."""
    code, found = git.git("rev-parse", "--show-toplevel")
    return found.strip() if code == 0 and found.strip() else str(Path.cwd())


@command(
    "checks:ignore",
    example=(
        'greenroom checks:ignore 3fa9c01d --reason "not reachable, TICKET-12" --until 2026-12-31 -a ach-payslip-staging'
    ),
)
@click.argument("fingerprint")
@click.option("--reason", required=True, metavar="TEXT", help="The reason, for the audit log.")
@click.option(
    "--until",
    required=True,
    type=click.DateTime(MOMENTS),
    metavar="TIME",
    help="When the finding counts again, in local time; at most a year from now.",
)
def ignore(cx: Context, fingerprint: str, reason: str, until: datetime) -> int | None:
    """Ignore a finding until a date. FINGERPRINT, or its first 8 digits, is shown by checks:info.

    After that date the finding counts as new again, even if it is deployed by then.
    """
    end = until.astimezone(UTC).isoformat(timespec="seconds")
    with output.progress(f"Ignoring {fingerprint[:12]} on {output.app_mark(cx.app)}"):
        row = cx.api.post(cx.path("ignores"), {"fingerprint": fingerprint, "reason": reason, "until": end})
    output.say(f"{output.clean(row['rule'])} {output.clean(row['path'])} is ignored until {output.when(row['until'])}.")
    output.hint(
        f"greenroom checks:rerun scan{cx.flags()}   (undo: greenroom checks:unignore"
        f" {row['fingerprint'][:12]}{cx.flags()})"
    )
    return None


@command("checks:ignores", example="greenroom checks:ignores -a ach-payslip-staging", json=True)
def ignores(cx: Context) -> int | None:
    """List the ignored findings: user, reason and end date."""
    rows = cx.api.get(cx.path("ignores"))
    if cx.as_json:
        output.print_json(rows)
        return None
    if not rows:
        output.note(f"{cx.app} has no ignored findings.")
        return None
    output.heading(f"{cx.app} Ignored findings")
    output.table([_ignore_line(row) for row in rows], flexible=2)
    return None


def _ignore_line(row: dict[str, Any]) -> list[str]:
    end = f"ended {output.when(row['until'])}" if row["expired"] else f"until {output.when(row['until'])}"
    place = f"{row['rule']} {row['path']}"
    return [row["fingerprint"][:12], end, output.clean(f"{place}: {row['reason']}"), output.clean(row["actor"])]


@command("checks:unignore", example="greenroom checks:unignore 3fa9c01d -a ach-payslip-staging")
@click.argument("fingerprint")
def unignore(cx: Context, fingerprint: str) -> int | None:
    """Stop ignoring a finding."""
    with output.progress(f"Removing the ignore of {fingerprint[:12]} on {output.app_mark(cx.app)}"):
        row = cx.api.delete(cx.path("ignores", fingerprint))
    output.say(f"{output.clean(row['rule'])} {output.clean(row['path'])} counts again.")
    return None


@command(
    "checks:policy",
    example="greenroom checks:policy --two-people -a ach-payslip-staging\ngreenroom checks:policy --stale-after 4h",
    json=True,
)
@click.option(
    "--two-people/--one-person",
    "two",
    default=None,
    help="Whether the author of a push is barred from overriding its checks.",
)
@click.option("--stale-after", "stale", metavar="DURATION", help="Time without a report until a check is stale: 2h.")
def policy(cx: Context, two: bool | None, stale: str | None) -> int | None:
    """Show the gate policy, or change it."""
    body: dict[str, Any] = {} if two is None else {"two_people": two}
    if stale:
        body["stale_after"] = _minutes(stale)
    row = cx.api.patch(cx.path("gate"), body).data if body else cx.api.get(cx.path("gate"))
    if cx.as_json:
        output.print_json(row)
        return None
    output.fields(
        [
            ("An override needs", "two people" if row["two_people"] else "one person"),
            ("A check is stale after", _span(row["stale_after"])),
        ]
    )
    return None


def _span(minutes: int) -> str:
    """Minutes in the format of the option, in the largest unit that fits: 30m, 2h, 1d."""
    unit = next(unit for unit in sorted(MINUTES, key=MINUTES.__getitem__, reverse=True) if minutes % MINUTES[unit] == 0)
    return f"{minutes // MINUTES[unit]}{unit}"


def _minutes(span: str) -> int:
    found = re.fullmatch(SPAN, span)
    if not found:
        raise CliError(
            f"--stale-after is not a valid duration: {span[:40]}.", hint="a number and m, h or d: 30m, 2h, 1d"
        )
    return int(found[1]) * MINUTES[found[2]]
