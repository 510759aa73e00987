"""Commands for test runs: the tests of a pipeline's apps, of pushes and of the current commit."""

from __future__ import annotations

import subprocess
from typing import Any

import click

from greenroom_cli import output
from greenroom_cli.config import pairs_of
from greenroom_cli.context import Context, command
from greenroom_cli.errors import CliError
from greenroom_cli.pipelines import pipeline_of, pipeline_path

PIPELINE = click.option("-p", "--pipeline", default="", metavar="PIPELINE", help="The pipeline (default: the app's).")
STAGE = click.option(
    "--stage",
    type=click.Choice(["test", "review"]),
    default="test",
    show_default=True,
    help="Config vars of test runs or of review apps.",
)
COLOURS = {"succeeded": "green", "failed": "red", "errored": "red", "cancelled": "yellow"}
OVER = ("succeeded", "failed", "errored", "cancelled")
SECONDS = 3600.0


@command("ci", example="greenroom ci -a ach-payslip-staging", json=True)
@PIPELINE
def ci(cx: Context, pipeline: str) -> int | None:
    """List the latest test runs of a pipeline's apps."""
    rows = cx.api.get(pipeline_path(pipeline_of(cx, pipeline), "test-runs"))
    if cx.as_json:
        output.print_json(rows)
    elif not rows:
        output.note("There are no test runs yet.")
    else:
        output.table([_line(row) for row in rows[:15]], flexible=4)
    return None


def _line(row: dict[str, Any]) -> list[str]:
    return [
        str(row["number"]),
        output.style(row["status"], COLOURS.get(row["status"], "dim")),
        row["commit_sha"][:8],
        output.clean(row["commit_branch"]),
        output.clean(row.get("message") or ""),
        row["app"]["name"],
    ]


@command("ci:info", example="greenroom ci:info 12 -a ach-payslip-staging", json=True)
@click.argument("number", type=click.IntRange(min=1))
@PIPELINE
def info(cx: Context, number: int, pipeline: str) -> int | None:
    """Show a test run and its output. Exit code 1 unless it succeeded."""
    return _show(cx, cx.api.get(pipeline_path(pipeline_of(cx, pipeline), "test-runs", str(number))))


@command("ci:last", example="greenroom ci:last -a ach-payslip-staging", json=True)
@PIPELINE
def last(cx: Context, pipeline: str) -> int | None:
    """Show the latest test run and its output. Exit code 1 unless it succeeded."""
    rows = cx.api.get(pipeline_path(pipeline_of(cx, pipeline), "test-runs"))
    if not rows:
        raise CliError("There are no test runs yet.", hint="greenroom ci:run")
    return _show(cx, rows[0])


def _show(cx: Context, row: dict[str, Any]) -> int | None:
    nodes = cx.api.get(f"/test-runs/{row['id']}/test-nodes")
    if cx.as_json:
        output.print_json({**row, "test_nodes": nodes})
        return None
    for name in ("setup_stream_url", "output_stream_url"):
        for line in cx.api.stream(nodes[0][name]):
            output.say(output.clean(line, keep_colours=True))
    row = cx.api.get(f"/test-runs/{row['id']}")
    output.say(f"#{row['number']} {row['commit_branch']} {row['commit_sha'][:8]} {row['status']}")
    return 0 if row["status"] == "succeeded" else 1


@command("ci:run", example="greenroom ci:run -a ach-payslip-staging")
@PIPELINE
def run(cx: Context, pipeline: str) -> int | None:
    """Run the tests of the current commit (HEAD). Exit code 1 unless they succeed.

    The commit does not have to be pushed. The result does not count for the gate. Uncommitted changes are not tested.
    """
    target = pipeline_of(cx, pipeline)
    sha, branch, subject = (
        _git(*words)
        for words in (("rev-parse", "HEAD"), ("rev-parse", "--abbrev-ref", "HEAD"), ("log", "-1", "--format=%s"))
    )
    with output.progress("Preparing source"):
        source = cx.api.post("/sources", {})["source_blob"]
        cx.api.upload(source["put_url"], _archive())
    with output.progress("Starting test run"):
        body = {
            "pipeline": target,
            "source_blob_url": source["get_url"],
            "commit_sha": sha,
            "commit_branch": branch,
            "commit_message": subject,
        }
        row = cx.api.post("/test-runs", body)
    code = _show(cx, row)
    found = cx.api.poll(f"/test-runs/{row['id']}", done=lambda one: one["status"] in OVER, seconds=SECONDS)
    return code if found["status"] == "succeeded" else 1


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CliError(
            f"git {words[0]} failed: {done.stderr.strip() or 'no message'}.", hint="cd into the app's repository"
        )
    return done.stdout.strip()


def _archive() -> bytes:
    done = subprocess.run(["git", "archive", "--format=tar.gz", "HEAD"], capture_output=True, check=False)
    if done.returncode:
        raise CliError(
            f"git archive failed: {done.stderr.decode(errors='replace').strip()}.",
            hint="cd into the root of the app's repository",
        )
    return done.stdout


@command("ci:cancel", example="greenroom ci:cancel 12 -a ach-payslip-staging")
@click.argument("number", type=click.IntRange(min=1))
@PIPELINE
def cancel(cx: Context, number: int, pipeline: str) -> int | None:
    """Cancel a test run that ci:run started."""
    row = cx.api.get(pipeline_path(pipeline_of(cx, pipeline), "test-runs", str(number)))
    with output.progress(f"Cancelling test run {number}"):
        cx.api.patch(f"/test-runs/{row['id']}", {"status": "cancelled"})
    return None


@command("ci:config", example="greenroom ci:config -a ach-payslip-staging", json=True)
@PIPELINE
@STAGE
def config(cx: Context, pipeline: str, stage: str) -> int | None:
    """Show the config vars of test runs, or of review apps with --stage review."""
    values = cx.api.get(_config(cx, pipeline, stage))
    if cx.as_json:
        output.print_json(values)
    elif values:
        output.fields((key, values[key] or " ") for key in sorted(values))
    else:
        output.note(f"No config vars are set for {'test runs' if stage == 'test' else 'review apps'}.")
    return None


def _config(cx: Context, pipeline: str, stage: str) -> str:
    return pipeline_path(pipeline_of(cx, pipeline), "stage", stage, "config-vars")


@command("ci:config:get", example="greenroom ci:config:get WORD -a ach-payslip-staging", json=True)
@click.argument("key")
@PIPELINE
@STAGE
def config_get(cx: Context, key: str, pipeline: str, stage: str) -> int | None:
    """Print the value of a config var of test runs or of review apps. Exit code 1 when it is not set."""
    values = cx.api.get(_config(cx, pipeline, stage))
    if key not in values:
        raise CliError(
            f"{key} is not set for the stage {stage}.", hint=f"greenroom ci:config:set {key}=... --stage {stage}"
        )
    if cx.as_json:
        output.print_json({key: values[key]})
    else:
        output.say(values[key])
    return None


@command("ci:config:set", example="greenroom ci:config:set WORD=hello -a ach-payslip-staging")
@click.argument("pairs", nargs=-1, metavar="KEY=VALUE...")
@click.option(
    "--stdin",
    "from_stdin",
    is_flag=True,
    help="Read KEY=VALUE lines from stdin, to keep values out of the process list and the shell history.",
)
@PIPELINE
@STAGE
def config_set(cx: Context, pairs: tuple[str, ...], from_stdin: bool, pipeline: str, stage: str) -> int | None:
    """Set config vars of test runs, including those of the gate, or of future review apps with --stage review."""
    updates = pairs_of(pairs, from_stdin)
    with output.progress(f"Setting {', '.join(updates)}"):
        cx.api.patch(_config(cx, pipeline, stage), updates)
    return None


@command("ci:config:unset", example="greenroom ci:config:unset WORD -a ach-payslip-staging")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@PIPELINE
@STAGE
def config_unset(cx: Context, keys: tuple[str, ...], pipeline: str, stage: str) -> int | None:
    """Remove config vars of test runs, or of review apps with --stage review."""
    with output.progress(f"Unsetting {', '.join(keys)}"):
        cx.api.patch(_config(cx, pipeline, stage), dict.fromkeys(keys))
    return None
