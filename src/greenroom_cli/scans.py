"""The verbs of findings: report those of another tool, let one pass for a while, and how strict the gate is."""

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
@click.option("--sha", default="", metavar="SHA", help="The commit that was looked at (default: the newest push).")
@click.option(
    "--root",
    default="",
    metavar="DIR",
    help="The folder of the checkout, to take off absolute paths (default: this one).",
)
def upload(cx: Context, name: str, file: Path, sha: str, root: str) -> int | None:
    """Report the findings of a tool from a SARIF 2.1.0 file, plain or gzipped; they become the check scan/NAME.

    Findings that are deployed already do not count. Exit code 1 when the check did not pass.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise CliError(
            f"{file} cannot be read: {error.strerror}.",
            hint="name the tool, then the file: checks:upload bandit bandit.sarif",
        ) from error
    if len(data) > MAX_BYTES:
        raise CliError(
            f"{file} is larger than {MAX_BYTES >> 20} MB.",
            hint="let the tool look at fewer files, or report fewer rules",
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
    """The top folder of this checkout, or this folder."""
    code, found = git.git("rev-parse", "--show-toplevel")
    return found.strip() if code == 0 and found.strip() else str(Path.cwd())


@command(
    "checks:ignore",
    example=(
        'greenroom checks:ignore 3fa9c01d --reason "not reachable, TICKET-12" --until 2026-12-31 -a ach-payslip-staging'
    ),
)
@click.argument("fingerprint")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it stays in the audit log.")
@click.option(
    "--until",
    required=True,
    type=click.DateTime(MOMENTS),
    metavar="MOMENT",
    help="When it counts again, in your time; within a year.",
)
def ignore(cx: Context, fingerprint: str, reason: str, until: datetime) -> int | None:
    """Let one finding pass until a day. FINGERPRINT, or 8 digits of it, is shown by checks:info.

    After that day the finding counts as new again, also when it is deployed by then.
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
    """List the findings that are ignored, with who, why and until when."""
    rows = cx.api.get(cx.path("ignores"))
    if cx.as_json:
        output.print_json(rows)
        return None
    if not rows:
        output.note(f"No finding of {cx.app} is ignored.")
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
    """Let an ignored finding count again."""
    with output.progress(f"Taking the ignore of {fingerprint[:12]} on {output.app_mark(cx.app)} back"):
        row = cx.api.delete(cx.path("ignores", fingerprint))
    output.say(f"{output.clean(row['rule'])} {output.clean(row['path'])} counts again.")
    return None


@command(
    "checks:policy",
    example="greenroom checks:policy --two-people -a ach-payslip-staging\ngreenroom checks:policy --stale-after 4h",
    json=True,
)
@click.option(
    "--two-people/--one-person", "two", default=None, help="Whether who pushed a commit may not override its checks."
)
@click.option("--stale-after", "stale", metavar="SPAN", help="Silence after which a check is stale: 30m, 2h or 1d.")
def policy(cx: Context, two: bool | None, stale: str | None) -> int | None:
    """Show how strict the gate is, or change it."""
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
    """Minutes in the words that the option takes: 30m, 2h, 1d; what is no whole number of a larger unit stays in the
    smaller.
    """
    unit = next(unit for unit in sorted(MINUTES, key=MINUTES.__getitem__, reverse=True) if minutes % MINUTES[unit] == 0)
    return f"{minutes // MINUTES[unit]}{unit}"


def _minutes(span: str) -> int:
    found = re.fullmatch(SPAN, span)
    if not found:
        raise CliError(f"--stale-after is no span of time: {span[:40]}.", hint="a number and m, h or d: 30m, 2h, 1d")
    return int(found[1]) * MINUTES[found[2]]
