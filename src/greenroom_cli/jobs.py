"""Commands for jobs: commands that run at planned times."""

from __future__ import annotations

import shlex
import time
from typing import Any

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command
from greenroom_cli.logs import coloured
from greenroom_cli.run import command_line

COLOURS = {
    "scheduled": "green",
    "succeeded": "green",
    "running": "yellow",
    "waiting": "yellow",
    "blocked": "yellow",
    "missed": "yellow",
    "paused": "dim",
    "skipped": "dim",
    "failed": "red",
}
OPEN = ("waiting", "running")
POLL = 1.0
LOG_LINES = 10_000


@command("jobs", example="greenroom jobs -a ach-payslip-staging", json=True)
def jobs(cx: Context) -> int | None:
    """List the jobs of an app: when they run next, and how they last ended."""
    rows = cx.api.everything(cx.path("jobs"))
    if cx.as_json:
        output.print_json(rows)
        return None
    if not rows:
        output.note(f"{cx.app} has no jobs.")
        output.hint(
            "declare one in greenroom.toml as [jobs.NAME], or: greenroom jobs:add clearsessions --schedule '0 3 * * *'"
            f"{cx.flags()} -- python manage.py clearsessions"
        )
        return None
    header = ("Job", "Schedule", "Time zone", "Next run", "Last run")
    output.table([_line(row) for row in rows], header=header, flexible=1)
    for row in (row for row in rows if row["state"] != "scheduled"):
        output.note(f"{row['name']}: {output.clean(row['note'])}.")
        output.hint(output.clean(row["hint"]))
        if row["state"] == "blocked":
            break  # the same for all jobs of the app
    return None


def _line(row: dict[str, Any]) -> list[str]:
    last = row["last_run"]
    following = _coming(row["next_at"]) if row["state"] == "scheduled" else _state(row["state"])
    return [
        row["name"],
        output.clean(row["description"]),
        row["time_zone"],
        following,
        f"{_result(last)} {output.when(last['finished_at'] or last['planned_at'])}" if last else "",
    ]


def _coming(moment: str | None) -> str:
    """``2026/12/01 03:00:00 +0100`` in local time; ``never`` without a time."""
    seconds = output.seconds_of(moment)
    return time.strftime("%Y/%m/%d %H:%M:%S %z", time.localtime(seconds)) if seconds is not None else "never"


def _state(state: str) -> str:
    return output.style(state, COLOURS.get(state, "dim"))


def _result(run: dict[str, Any]) -> str:
    """``failed (1)``, ``missed (3 times)``."""
    if run["count"] > 1:
        return f"{_state(run['state'])} ({run['count']} times)"
    failed = run["state"] == "failed" and run["exit_code"] is not None
    return f"{_state(run['state'])} ({run['exit_code']})" if failed else _state(run["state"])


@command("jobs:info", example="greenroom jobs:info clearsessions -a ach-payslip-staging", json=True)
@click.argument("name")
def info(cx: Context, name: str) -> int | None:
    """Show the settings of a job and its last run."""
    row = cx.api.get(cx.path("jobs", name))
    if cx.as_json:
        output.print_json(row)
        return None
    last = row["last_run"]
    output.heading(f"{row['name']}")
    output.fields(
        [
            ("Command", row["command"]),
            ("Schedule", f"{row['schedule']} ({row['description']})"),
            ("Time zone", row["time_zone"]),
            ("State", _state(row["state"])),
            ("Next run", "" if row["state"] == "paused" else _coming(row["next_at"])),
            ("Last run", f"{last['number']}: {_result(last)} {output.when(last['planned_at'])}" if last else "none"),
            ("Overlap", row["overlap"]),
            ("Catch up", "yes" if row["catch_up"] else "no"),
            ("Time limit", f"{row['minutes']} minutes" if row["minutes"] else "until the next planned run"),
            ("Size", row["size"]),
            ("Declared in", "greenroom.toml" if row["origin"] == "file" else f"added by {row['user']['email']}"),
        ]
    )
    if row["note"]:
        output.note(f"{output.clean(row['note'])}.")
        output.hint(output.clean(row["hint"]))
    elif last and last["dyno"]:
        output.hint(f"greenroom jobs:log {last['number']}{cx.flags()}")
    return None


@command("jobs:runs", example="greenroom jobs:runs clearsessions -a ach-payslip-staging", json=True)
@click.argument("name", required=False, default="")
@click.option("-n", "--num", type=click.IntRange(1, 1000), default=20, show_default=True, help="Number of runs.")
def job_runs(cx: Context, name: str, num: int) -> int | None:
    """List the last runs of all jobs, or of one, also missed and skipped ones."""
    rows = cx.api.get(cx.path("job-runs"), limit=num, **({"job": name} if name else {}))
    if cx.as_json:
        output.print_json(rows)
        return None
    if not rows:
        output.note(f"No job of {cx.app} has run yet.")
        output.hint(f"greenroom jobs{cx.flags()}")
        return None
    lines = [
        [
            str(row["number"]),
            row["job"]["name"],
            _result(row),
            output.when(row["planned_at"]),
            row["dyno"] or "",
            output.lasted(row["started_at"], row["finished_at"]),
            output.clean(row["detail"]),
        ]
        for row in rows
    ]
    output.table(lines, header=("Run", "Job", "Result", "Planned", "Dyno", "Took", "Detail"), flexible=6)
    return None


@command("jobs:log", example="greenroom jobs:log 17 -a ach-payslip-staging", json=True)
@click.argument("run", metavar="RUN")
def log(cx: Context, run: str) -> int | None:
    """Print the output of a run, given its number.

    The lines come from the log of the app. When it no longer contains them, the last lines of the run are printed. With
    --json the run is printed, with its last lines.
    """
    row = cx.api.get(cx.path("job-runs", run))
    if cx.as_json:
        output.print_json(row)
        return None
    _print_log(cx, row)
    if row["state"] in OPEN:
        output.note(f"Run {row['number']} is {row['state']}.")
        output.hint(f"greenroom logs --tail --dyno {row['dyno'] or 'scheduler'}{cx.flags()}")
    return None


def _print_log(cx: Context, row: dict[str, Any]) -> None:
    if not row["dyno"]:
        output.note(f"Run {row['number']} of {row['job']['name']} has no output: {_ending(row)}.")
        return
    session = cx.api.post(cx.path("log-sessions"), {"dyno": row["dyno"], "lines": LOG_LINES})
    lines = list(cx.api.stream(session["logplex_url"]))
    for line in lines:
        output.say(coloured(line))
    if not lines and row.get("last_lines"):
        output.say(output.clean(row["last_lines"]))
    if row["state"] not in OPEN:
        output.note(f"Run {row['number']} of {row['job']['name']}: {_ending(row)}.")


def _ending(row: dict[str, Any]) -> str:
    return f"{row['state']}{': ' + output.clean(row['detail']) if row['detail'] else ''}"


@command("jobs:run", example="greenroom jobs:run clearsessions --wait -a ach-payslip-staging", json=True)
@click.argument("name")
@click.option("--wait", is_flag=True, help="Wait for its end and print its output; the exit code is 1 if it failed.")
def run(cx: Context, name: str, wait: bool) -> int | None:
    """Run a job now, also while it is paused. Its schedule does not change."""
    with output.progress(f"Running {name} on {output.app_mark(cx.app)}") as step:
        row = cx.api.post(cx.path("jobs", name, "actions", "run"), {})
        step.end = f"run {row['number']}"
        while wait and row["state"] in OPEN:
            time.sleep(POLL)
            row = cx.api.get(cx.path("job-runs", str(row["number"])))
            step.state(row["state"])
    if cx.as_json:
        output.print_json(row)
    elif wait:
        _print_log(cx, row)
    else:
        output.hint(f"greenroom jobs:log {row['number']}{cx.flags()}")
    return 1 if wait and row["state"] != "succeeded" else None


@command(
    "jobs:add",
    example=(
        "greenroom jobs:add clearsessions --schedule '0 3 * * *' --time-zone Europe/Berlin -a ach-payslip-staging --"
        " python manage.py clearsessions"
    ),
    json=True,
)
@click.argument("name")
@click.argument("command", nargs=-1, required=True, metavar="-- COMMAND...", type=click.UNPROCESSED)
@click.option(
    "--schedule",
    required=True,
    metavar="SCHEDULE",
    help="A cron line such as '0 3 * * *', @hourly, @daily, 'every 10 minutes' or 'daily at 03:30'.",
)
@click.option("--time-zone", default="UTC", show_default=True, metavar="ZONE", help="For example Europe/Berlin.")
@click.option(
    "--overlap",
    type=click.Choice(["skip", "queue", "allow"]),
    default="skip",
    show_default=True,
    help="What happens to a run while the previous one has not ended.",
)
@click.option("--catch-up", is_flag=True, help="Run once later if runs were missed.")
@click.option("--minutes", type=click.IntRange(1, 1440), help="Time limit (default: until the next planned run).")
@click.option("--size", "-s", default="", metavar="SIZE", help="The dyno size, for example standard-2x.")
def add(
    cx: Context,
    name: str,
    command: tuple[str, ...],
    schedule: str,
    time_zone: str,
    overlap: str,
    catch_up: bool,
    minutes: int | None,
    size: str,
) -> int | None:
    """Add a job: a command that runs in a one-off dyno of the live release at planned times.

    Options come before `--`, the command behind it. Several arguments are passed on unchanged; a single quoted argument
    is a shell command line.
    """
    body = {"name": name, "schedule": schedule, "time_zone": time_zone, "overlap": overlap, "catch_up": catch_up}
    body |= {"command": command_line(command), "minutes": minutes, "size": size or None}
    with output.progress(f"Adding the job {name} to {output.app_mark(cx.app)}"):
        row = cx.api.post(cx.path("jobs"), body)
    if cx.as_json:
        output.print_json(row)
        return None
    output.say(f"{row['description']} ({row['time_zone']}), next run {_coming(row['next_at'])}")
    if row["note"]:
        output.note(f"{output.clean(row['note'])}.")
        output.hint(output.clean(row["hint"]))
    output.hint(f"undo with: greenroom jobs:remove {name}{cx.flags()}")
    return None


@command("jobs:remove", example="greenroom jobs:remove clearsessions -a ach-payslip-staging", json=True)
@click.argument("name")
def remove(cx: Context, name: str) -> int | None:
    """Remove a job that was added with jobs:add. Its runs are kept for 30 days; a running one continues."""
    with output.progress(f"Removing the job {name} from {output.app_mark(cx.app)}"):
        row = cx.api.delete(cx.path("jobs", name))
    if cx.as_json:
        output.print_json(row)
        return None
    output.hint(f"undo with: greenroom jobs:add {name}{_options(row)}{cx.flags()} -- {_quoted(row['command'])}")
    return None


def _options(row: dict[str, Any]) -> str:
    """The options of jobs:add that make this job."""
    given = [f" --schedule {_quoted(row['schedule'])}"]
    given += [f" --time-zone {row['time_zone']}"] if row["time_zone"] != "UTC" else []
    given += [f" --overlap {row['overlap']}"] if row["overlap"] != "skip" else []
    given += [" --catch-up"] if row["catch_up"] else []
    given += [f" --minutes {row['minutes']}"] if row["minutes"] else []
    given += [f" --size {row['size']}"] if row["size"] != "standard-1x" else []
    return "".join(given)


def _quoted(text: str) -> str:
    return shlex.quote(output.clean(text))


@command("jobs:pause", example="greenroom jobs:pause clearsessions -a ach-payslip-staging", json=True)
@click.argument("name")
def pause(cx: Context, name: str) -> int | None:
    """Pause a job: it does not run until jobs:resume. A running one continues."""
    with output.progress(f"Pausing the job {name} of {output.app_mark(cx.app)}"):
        row = cx.api.post(cx.path("jobs", name, "actions", "pause"), {})
    if cx.as_json:
        output.print_json(row)
    else:
        output.hint(f"undo with: greenroom jobs:resume {name}{cx.flags()}")
    return None


@command("jobs:resume", example="greenroom jobs:resume clearsessions -a ach-payslip-staging", json=True)
@click.argument("name")
def resume(cx: Context, name: str) -> int | None:
    """Resume a paused job. Runs in the pause are not caught up."""
    with output.progress(f"Resuming the job {name} of {output.app_mark(cx.app)}"):
        row = cx.api.post(cx.path("jobs", name, "actions", "resume"), {})
    if cx.as_json:
        output.print_json(row)
    else:
        output.say(f"Next run {_coming(row['next_at'])}")
        output.hint(f"undo with: greenroom jobs:pause {name}{cx.flags()}")
    return None
