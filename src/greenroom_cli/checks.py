"""Commands for the gate: checks of a commit, their findings, reruns, overrides and deploy pauses."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from greenroom_cli import git, output
from greenroom_cli.context import Context, command
from greenroom_cli.errors import CliError

MARKS = {
    "success": ("✓", "green"),
    "neutral": ("✓", "green"),
    "skipped": ("-", "yellow"),
    "failure": ("✗", "red"),
    "error": ("✗", "red"),
    "timed_out": ("✗", "red"),
    "cancelled": ("✗", "red"),
    "stale": ("✗", "yellow"),
    "action_required": ("✗", "yellow"),
}
MOMENTS = ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d"]
SPAN = re.compile(r"([1-9][0-9]{0,4})([mhd])")
LEVELS = {1: ("critical", "red"), 2: ("bug", "red"), 3: ("minor", "yellow"), 4: ("note", "dim")}


COLOURS = {"green": 0, "pending": 3}
"""verdict -> exit code of ``checks --exit-code``; 1 for any other colour."""


@command("checks", example="greenroom checks -a ach-payslip-staging\ngreenroom checks HEAD~1 --exit-code", json=True)
@click.argument("sha", required=False, default="")
@click.option(
    "--exit-code", "exit_code", is_flag=True, help="Exit with 0 for a green verdict, 3 while it is pending, else 1."
)
def checks(cx: Context, sha: str, exit_code: bool) -> int | None:
    """Show the checks of a commit and why it is withheld (default: the newest push)."""
    rows = cx.api.get(cx.path("checks"), sha=git.commit(sha) if sha else "")
    verdict = _verdict(cx, rows)
    code = COLOURS.get(str(verdict.get("colour") or "pending"), 1) if exit_code else None
    if cx.as_json:
        output.print_json(rows)
        return code
    if not rows:
        output.note(f"{cx.app} has no checks for {sha or 'the newest push'} yet.")
        output.hint(f"greenroom deliveries{cx.flags()}")
        return code
    output.heading(f"{cx.app} Checks of {rows[0]['sha'][:8]}")
    output.table([check_line(row) for row in rows], flexible=3)
    if verdict.get("text"):
        output.say()
        output.say(output.clean(verdict["text"]))
    overrides = cx.api.get(cx.path("overrides"), sha=rows[0]["sha"])
    if overrides:
        output.say()
        for row in overrides:
            output.say(_override_line(row))
    red = [row["name"] for row in rows if row.get("conclusion") not in (None, "success", "neutral")]
    if red:
        output.hint(f"greenroom checks:info {red[0]} {rows[0]['sha'][:8]}{cx.flags()}")
    return code


def _verdict(cx: Context, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The verdict on the commit of these checks; empty before the first one."""
    found = cx.api.get(cx.path("deliveries"), sha=rows[0]["sha"], limit=1) if rows else []
    return (found[0].get("verdict") if found else None) or {}


def _override_line(row: dict[str, Any]) -> str:
    """An override in one line, marked when it is no longer valid."""
    state = "" if row["holds"] else output.style(" (void: a check was run again)", "yellow")
    return (
        output.clean(
            f"{', '.join(row['checks'])} overridden by {row['actor']}, {output.when(row['created_at'])}:"
            f" {row['reason']}"
        )
        + state
    )


def check_line(row: dict[str, Any]) -> list[str]:
    """The cells name, result, required or optional, title, duration."""
    result = (row.get("conclusion") or row["status"]).replace("_", " ")
    mark, colour = MARKS.get(row.get("conclusion") or "", ("…", "yellow"))
    took = output.lasted(row.get("started_at"), row.get("finished_at"))
    attempt = f"attempt {row['attempt']}" if row.get("attempt", 1) > 1 else ""
    return [
        f"{output.style(mark, colour)} {output.clean(row['name'])}",
        output.style(result, colour),
        "required" if row.get("required") else "optional",
        output.clean(row.get("title") or ""),
        ", ".join(part for part in (took, attempt) if part),
    ]


def find(cx: Context, name: str, sha: str) -> dict[str, Any]:
    """The newest attempt of a check. CliError when the commit has no check with that name."""
    rows = cx.api.get(cx.path("checks"), sha=git.commit(sha) if sha else "")
    found = next((row for row in rows if row["name"] == name or row["id"] == name), None)
    if found is None:
        known = ", ".join(row["name"] for row in rows) or "none yet"
        raise CliError(
            f"No check {name} for {sha or 'the newest push'}. Checks: {known}.",
            hint=f"greenroom checks{cx.flags()}",
        )
    return found


@command("checks:info", example="greenroom checks:info scan -a ach-payslip-staging", json=True)
@click.argument("name")
@click.argument("sha", required=False, default="")
@click.option("--sarif", is_flag=True, help="Print the findings as SARIF 2.1.0, for editors and code hosts.")
def info(cx: Context, name: str, sha: str, sarif: bool) -> int | None:
    """Show a check and its findings (default: of the newest push).

    With --json: the check, with its findings as `annotations`.
    """
    row = find(cx, name, sha)
    if sarif:
        output.print_json(cx.api.get(cx.path("checks", row["id"], "sarif")))
        return None
    findings = cx.api.everything(cx.path("checks", row["id"], "annotations"))
    if cx.as_json:
        output.print_json({**row, "annotations": findings})
        return None
    output.heading(f"{row['name']} of {row['sha'][:8]}: {(row.get('conclusion') or row['status']).replace('_', ' ')}")
    output.fields(
        [
            ("Title", row.get("title")),
            ("Required", "yes" if row.get("required") else "no"),
            ("Attempt", row.get("attempt")),
            ("URL", row.get("url")),
            ("Took", output.lasted(row.get("started_at"), row.get("finished_at"))),
        ]
    )
    if row.get("summary"):
        output.say()
        output.say(output.clean(row["summary"]).rstrip())
    if findings:
        output.say()
        for finding in findings:
            output.say(_finding(finding))
    if row.get("conclusion") not in (None, "success", "neutral"):
        output.hint(f"run it again with: greenroom checks:rerun {row['name']} --sha {row['sha'][:8]}{cx.flags()}")
    return None


def _finding(row: dict[str, Any]) -> str:
    word, colour = LEVELS.get(row.get("severity", 4), ("note", "dim"))
    place = output.clean(f"{row['path']}:{row.get('start_line') or 1}")
    if row.get("start_column"):
        place += f":{row['start_column']}"
    source = " ".join(part for part in (row.get("tool"), row.get("rule")) if part)
    age = "" if row.get("new", True) else " (not new)"
    if row.get("suppressed"):
        age = (
            f" (ignored {output.clean(row['justification'])})"
            if row["suppressed"] == "external"
            else " (suppressed in the source)"
        )
    mark = f" {row['fingerprint'][:12]}" if row.get("fingerprint") and row.get("new", True) else ""
    return (
        f"{output.style(place, 'bold')}: {output.style(word, colour)}: {output.clean(row['message'])}"
        f" [{output.clean(source)}{mark}]{age}"
    )


@command("checks:rerun", example="greenroom checks:rerun tests -a ach-payslip-staging")
@click.argument("name", required=False, default="")
@click.option("--sha", default="", metavar="SHA", help="The commit (default: the newest push).")
def rerun(cx: Context, name: str, sha: str) -> int | None:
    """Run a check again on the same slug; without NAME, all checks that are not green."""
    body = {key: value for key, value in (("name", name), ("sha", git.commit(sha) if sha else "")) if value}
    with output.progress(f"Running {name or 'the checks that are not green'} again"):
        rows = cx.api.post(cx.path("checks", "actions", "rerun"), body)
    output.table([check_line(row) for row in rows], flexible=3)
    if rows:
        output.hint(f"greenroom deliveries:wait {rows[0]['sha'][:12]}{cx.flags()}")
    return None


@command(
    "deploy:override",
    example=(
        'greenroom deploy:override 1f3a9c2 --check scan --reason "false positive, see TICKET-12" -a ach-payslip-staging'
    ),
)
@click.argument("sha")
@click.option(
    "--check", "names", multiple=True, required=True, metavar="NAME", help="The check to override; can be repeated."
)
@click.option("--reason", required=True, metavar="TEXT", help="The reason, for the audit log.")
def override(cx: Context, sha: str, names: tuple[str, ...], reason: str) -> int | None:
    """Override checks of a commit, so that it is deployed although they are not green.

    The override is recorded in the audit log with your name and the reason. It applies to this commit only, and it
    becomes void when one of these checks is run again.
    """
    commit = git.commit(sha)
    with output.progress(f"Overriding {', '.join(names)} for {commit[:8]} on {output.app_mark(cx.app)}"):
        row = cx.api.post(cx.path("overrides"), {"sha": commit, "checks": list(names), "reason": reason})
    output.say(
        f"{row['sha'][:8]}: {', '.join(row['checks'])} overridden by {row['actor']}: {output.clean(row['reason'])}"
    )
    output.hint(
        f"greenroom deliveries:wait {row['sha'][:12]}{cx.flags()}   (undo: greenroom checks:rerun --sha"
        f" {row['sha'][:8]}{cx.flags()})"
    )
    return None


@command("deploy:pause", example='greenroom deploy:pause --reason "demo for the board" --for 3h -a ach-payslip-staging')
@click.option("--reason", required=True, metavar="TEXT", help="The reason, shown to everyone who pushes.")
@click.option(
    "--until",
    type=click.DateTime(MOMENTS),
    metavar="TIME",
    help='When the pause ends, in local time: "2026-11-27 18:00".',
)
@click.option("--for", "span", metavar="DURATION", help="How long the pause lasts: 90m, 3h or 2d.")
def pause(cx: Context, reason: str, until: datetime | None, span: str | None) -> int | None:
    """Pause automatic deploys. Pushes are built and checked, but withheld.

    The pause lasts until `deploy:resume`, or until the time set with --until or --for. Then the newest push that only
    the pause has withheld is deployed.
    """
    end = _pause_end(until, span)
    with output.progress(f"Pausing automatic deploys of {output.app_mark(cx.app)}"):
        cx.api.patch(cx.path(), {"deploy_paused": reason, **({"deploy_paused_until": end} if end else {})})
    if end:
        output.say(f"The pause ends automatically: {output.when(end)}.")
    output.hint(f"undo with: greenroom deploy:resume{cx.flags()}")
    return None


def _pause_end(until: datetime | None, span: str | None) -> str | None:
    """The end of the pause as an ISO 8601 time in UTC; None without one. CliError for a bad duration."""
    if until and span:
        raise CliError("--until and --for cannot be used together.", hint="use one of them")
    if span:
        found = SPAN.fullmatch(span)
        if not found:
            raise CliError(f"--for is not a valid duration: {span[:40]}.", hint="a number and m, h or d: 90m, 3h, 2d")
        until = datetime.now(UTC) + timedelta(minutes=int(found[1]) * {"m": 1, "h": 60, "d": 1440}[found[2]])
    return until.astimezone(UTC).isoformat(timespec="seconds") if until else None


@command("deploy:resume", example="greenroom deploy:resume -a ach-payslip-staging")
def resume(cx: Context) -> int | None:
    """Resume automatic deploys. The newest push that only the pause has withheld is deployed."""
    with output.progress(f"Resuming automatic deploys of {output.app_mark(cx.app)}"):
        cx.api.patch(cx.path(), {"deploy_paused": ""})
    output.hint(f"undo with: greenroom deploy:pause --reason ...{cx.flags()}")
    return None
