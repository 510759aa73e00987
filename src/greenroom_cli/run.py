"""``run``: runs a command in a one-off dyno, attached with stdin, stdout, a terminal and its exit code, or detached.

Several arguments are quoted one by one; a single argument is a shell command line, as in the Heroku CLI.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import threading
from typing import Any

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command, confirm
from greenroom_cli.errors import ApiError, CliError

CODE_SECONDS = 30.0
"""Seconds to wait for the exit code after the stream has closed."""
STILL_SECONDS = 5.0
"""Seconds after which the user of a migrate is informed about the wait."""
MIGRATES = re.compile(r"\bmigrate\b|\balembic\b.*\b(?:up|down)grade\b")
STILL = (
    "Waiting: before migrations run, Greenroom takes a snapshot of the database and waits for a rehearsal to copy it."
    " For a large database this takes minutes."
)


@command(
    "run",
    example=(
        "greenroom run -a ach-payslip-staging -- python manage.py migrate\n"
        "greenroom run 'python manage.py dumpdata | gzip' > data.json.gz"
    ),
    raw=True,
)
@click.argument("command", nargs=-1, required=True, metavar="[--] COMMAND...", type=click.UNPROCESSED)
@click.option("--detached", "-d", is_flag=True, help="Run in the background; the output goes to the log.")
@click.option(
    "--exit-code", "-x", is_flag=True, help="Accepted for compatibility with Heroku; the exit code is always passed on."
)
@click.option("--no-tty", is_flag=True, help="Do not allocate a terminal.")
@click.option("--size", "-s", default="", metavar="SIZE", help="The dyno size, for example standard-2x.")
@click.option(
    "--env",
    "-e",
    multiple=True,
    metavar="KEY=VALUE",
    help="An environment variable for this dyno only; can be repeated.",
)
@click.option(
    "--no-snapshot",
    is_flag=True,
    help="Migrate without taking a snapshot first (recorded in the audit log).",
)
@click.option("--force", is_flag=True, help="Migrate although the rehearsal was red.")
def run(
    cx: Context,
    command: tuple[str, ...],
    detached: bool,
    exit_code: bool,
    no_tty: bool,
    size: str,
    env: tuple[str, ...],
    no_snapshot: bool,
    force: bool,
) -> int | None:
    """Run a command in a one-off dyno of the app.

    Options come before COMMAND. Several arguments are passed on unchanged; a single quoted argument is a shell command
    line. The exit code is that of the command.

    Before a migrate, Greenroom takes a snapshot of the database and pins it.
    """
    if command[0].startswith("-"):
        raise click.NoSuchOption(
            command[0], possibilities=["--detached"] if command[0].startswith("--detach") else None
        )
    text = command_line(command)
    extra = pairs(env)
    if detached:
        return start_detached(cx, text, size=size, env=extra, no_snapshot=no_snapshot, force=force)
    return attach_and_wait(cx, text, size=size, env=extra, no_tty=no_tty, no_snapshot=no_snapshot, force=force)


def command_line(arguments: tuple[str, ...]) -> str:
    """The command line for the dyno's shell: a single argument unchanged, several arguments each quoted."""
    return arguments[0] if len(arguments) == 1 else shlex.join(arguments)


def pairs(arguments: tuple[str, ...]) -> dict[str, str]:
    """``KEY=VALUE`` arguments as a dict. UsageError for other forms."""
    values = {}
    for argument in arguments:
        key, found, value = argument.partition("=")
        if not found or not key:
            raise click.UsageError(
                f"{argument} is invalid. Must be in the format FOO=bar.", click.get_current_context()
            )
        values[key] = value
    return values


def start_detached(
    cx: Context, command: str, *, size: str, env: dict[str, str], no_snapshot: bool = False, force: bool = False
) -> int | None:
    """Start the command in the background; prints the dyno's name on stdout."""
    with output.progress(f"Running {output.style(output.clean(command), 'cyan')} on {output.app_mark(cx.app)}") as step:
        dyno = _start(
            cx, {"command": command, "attach": False, "env": env, **_size(size), **_migrate_options(no_snapshot, force)}
        )
        step.end = f"done, {dyno['name']}"
    output.say(dyno["name"])
    flags = cx.flags()
    output.hint(f"greenroom logs --tail --dyno {dyno['name']}{flags}   (stop: greenroom ps:stop {dyno['name']}{flags})")
    return None


def attach_and_wait(
    cx: Context,
    command: str,
    *,
    size: str = "",
    env: dict[str, str] | None = None,
    no_tty: bool = False,
    no_snapshot: bool = False,
    force: bool = False,
) -> int:
    """Run the command attached to this terminal (or pipes); returns its exit code. CliError when it is unknown."""
    from greenroom_cli.attach import CutError

    tty = not no_tty and sys.stdin.isatty() and sys.stdout.isatty()
    body = {
        "command": command,
        "attach": True,
        "force_no_tty": not tty,
        "env": {**_terminal(tty), **(env or {})},
        **_size(size),
        **_migrate_options(no_snapshot, force),
    }
    with output.progress(f"Running {output.style(output.clean(command), 'cyan')} on {output.app_mark(cx.app)}") as step:
        dyno = _start(cx, body)
        if not dyno.get("attach_url"):
            raise CliError(f"{dyno['name']} was started, but the server sent no attach URL.")
        step.end = f"up, {dyno['name']}"
    sys.stdout.flush()
    try:
        _attach(cx, dyno, command, tty=tty)
    except CutError as error:
        output.warn(error.message)
        raise _cut(cx, dyno, exit_code_of(cx, dyno)) from error
    return exit_code_of(cx, dyno)


def _attach(cx: Context, dyno: dict[str, Any], command: str, *, tty: bool) -> None:
    """Connect this terminal or pipes to the dyno. When a migrate does not start at once, explain the wait."""
    from greenroom_cli.attach import attach

    still = threading.Timer(STILL_SECONDS, output.note, [STILL])
    still.daemon = True
    if MIGRATES.search(command):
        still.start()
    try:
        attach(
            dyno["attach_url"],
            cx.target.ca_file,
            tty=tty,
            stdin=sys.stdin.buffer,
            stdout=sys.stdout.buffer,
            connected=still.cancel,
        )
    finally:
        still.cancel()


def _cut(cx: Context, dyno: dict[str, Any], code: int) -> CliError:
    """The error for a command that has ended with incomplete output: never exit code 0."""
    return CliError(
        f"The command exited with status {code}, but its output is incomplete.",
        hint=(
            f"greenroom logs --dyno {dyno['name']}{cx.flags()}   (shows how it ended; the output of an attached dyno is"
            " not logged)"
        ),
        code=code or 1,
    )


def _start(cx: Context, body: dict[str, Any]) -> dict[str, Any]:
    """Start the dyno. For a migrate with a red rehearsal, try again after the user has typed the app's name."""
    try:
        return cx.api.post(cx.path("dynos"), body)
    except ApiError as error:
        if error.id != "rehearsal_red" or not sys.stdin.isatty():
            raise
        confirm(cx, "", name=cx.app, what=error.message, again="--force, before its arguments")
        return cx.api.post(cx.path("dynos"), {**body, "force": True})


def _migrate_options(no_snapshot: bool, force: bool) -> dict[str, bool]:
    return {**({"snapshot": False} if no_snapshot else {}), **({"force": True} if force else {})}


def exit_code_of(cx: Context, dyno: dict[str, Any]) -> int:
    """The exit code of the ended dyno; 128 + n after signal n. CliError when the command is still running."""
    row = cx.api.poll(
        cx.path("dynos", dyno["id"]),
        done=lambda row: row.get("exit_code") is not None,
        seconds=CODE_SECONDS,
        pause=0.05,
    )
    code = row.get("exit_code")
    if code is None:
        flags = cx.flags()
        raise CliError(
            f"The connection to {dyno['name']} ended, but the command is still running (state: {row['state']}).",
            hint=f"greenroom ps{flags}; stop it with: greenroom ps:stop {dyno['name']}{flags}",
        )
    if row.get("exit_reason") not in (None, "", "exit", "asked") and row.get("detail"):
        output.warn(f"{dyno['name']}: {row['detail']}")
    elif code and (hint := str(row.get("detail") or "").partition("; hint: ")[2]):
        output.hint(output.clean(hint))
    return 128 - code if code < 0 else code


def _size(size: str) -> dict[str, str]:
    return {"size": size} if size else {}


def _terminal(tty: bool) -> dict[str, str]:
    if not tty:
        return {}
    size = shutil.get_terminal_size()
    return {"TERM": os.environ.get("TERM", "xterm"), "COLUMNS": str(size.columns), "LINES": str(size.lines)}
