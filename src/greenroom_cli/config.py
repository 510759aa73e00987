"""Commands for config vars. Each change creates a release; the command waits for it and reports the result."""

from __future__ import annotations

import shlex
from typing import Any

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command, waits
from greenroom_cli.errors import CliError
from greenroom_cli.stdin import stdin_lines


@command("config", example="greenroom config -a ach-payslip-staging\ngreenroom config --shell > .env", json=True)
@click.option("-s", "--shell", is_flag=True, help="Print KEY=value lines, quoted for the shell.")
def config(cx: Context, shell: bool) -> int | None:
    """Show the config vars and their values."""
    values = cx.api.get(cx.path("config-vars"))
    if cx.as_json:
        output.print_json(values)
    elif shell:
        for key in sorted(values):
            output.say(f"{key}={shlex.quote(values[key])}")
    else:
        output.heading(f"{cx.app} Config Vars")
        output.fields((key, values[key] or " ") for key in sorted(values))
    return None


@command("config:get", example="greenroom config:get DATABASE_URL -a ach-payslip-staging", json=True)
@click.argument("key")
@click.option("-s", "--shell", is_flag=True, help="Print KEY=value, quoted for the shell.")
def get(cx: Context, key: str, shell: bool) -> int | None:
    """Print the value of a config var. Exit code 1 when it is not set."""
    values = cx.api.get(cx.path("config-vars"))
    if key not in values:
        raise CliError(f"{key} is not set on {cx.app}.", hint=f"greenroom config:set {key}=...{cx.flags()}")
    if cx.as_json:
        output.print_json({key: values[key]})
    else:
        output.say(f"{key}={shlex.quote(values[key])}" if shell else values[key])
    return None


def pairs_of(arguments: tuple[str, ...], from_stdin: bool) -> dict[str, Any]:
    """``KEY=VALUE`` arguments, and lines of stdin, as a dict. UsageError for other forms, CliError for bad encoding.

    Error messages never contain a line of stdin, because it may be a secret.
    """
    given = [(argument, argument) for argument in arguments]
    if from_stdin:
        given += [
            (line, f"Line {number} of stdin")
            for number, line in stdin_lines()
            if line.strip() and not line.startswith("#")
        ]
    updates: dict[str, Any] = {}
    for pair, shown in given:
        key, found, value = pair.partition("=")
        if not found or not key:
            raise click.UsageError(f"{shown} is invalid. Must be in the format FOO=bar.", click.get_current_context())
        updates[key] = value
    if not updates:
        raise click.UsageError("Usage: greenroom config:set FOO=bar", click.get_current_context())
    return updates


@command("config:set", example="greenroom config:set DEBUG=0 SECRET_KEY=$(openssl rand -hex 32) -a ach-payslip-staging")
@click.argument("pairs", nargs=-1, metavar="KEY=VALUE...")
@click.option(
    "--stdin",
    "from_stdin",
    is_flag=True,
    help="Read KEY=VALUE lines from stdin, to keep values out of the process list and the shell history.",
)
@waits
def set_vars(cx: Context, pairs: tuple[str, ...], from_stdin: bool, **wait: Any) -> int | None:
    """Set config vars and restart the app.

    All changes create a single release. The command waits until that release is live. It fails when the release is
    refused or does not start; the previous release then keeps serving.
    """
    return _change(cx, "Setting", pairs_of(pairs, from_stdin), **wait)


@command("config:unset", example="greenroom config:unset DEBUG -a ach-payslip-staging")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@waits
def unset(cx: Context, keys: tuple[str, ...], **wait: Any) -> int | None:
    """Remove config vars and restart the app."""
    return _change(cx, "Unsetting", dict.fromkeys(keys), **wait)


def _change(cx: Context, word: str, updates: dict[str, Any], *, no_wait: bool, timeout: float | None) -> int | None:
    from greenroom_cli.releases import finish

    names = ", ".join(updates)
    with output.progress(f"{word} {names} and restarting {output.app_mark(cx.app)}") as step:
        answer = cx.api.patch(cx.path("config-vars"), updates)
        version = answer.headers.get("x-greenroom-release", "").lstrip("v")
        failed = None
        if not version:
            step.end = "done, nothing changed"
        elif no_wait:
            step.end = f"done, v{version}"
        else:
            failed = finish(cx, int(version), step, timeout)
    for key, value in updates.items():
        if value is not None:
            output.say(f"{key}: {answer.data.get(key, value)}")
    if failed:
        raise failed
    undo = answer.headers.get("x-greenroom-undo", "")
    if version and undo:
        output.hint(f"undo with: greenroom rollback {undo}{cx.flags()}")
    return None
