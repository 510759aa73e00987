"""Commands for notifications: who is told of what, by e-mail or in a chat."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command
from greenroom_cli.errors import CliError
from greenroom_cli.stdin import stdin_lines

POLL, PATIENCE = 0.5, 60.0
COLOURS = {"succeeded": "green", "failed": "red"}
for_all = click.option("--all", "everywhere", is_flag=True, help="all apps and the installation (administrators)")


def _path(cx: Context, everywhere: bool, *parts: str) -> str:
    """The path of the notifications of an app, or of the installation."""
    if everywhere:
        return "/".join(["/notifications", *(quote(part, safe="") for part in parts)])
    return cx.path("notifications", *parts)


def _flags(cx: Context, everywhere: bool) -> str:
    return f" --all{cx.target.home_flag}" if everywhere else cx.flags()


@command("notify", example="greenroom notify -a ach-payslip-staging", json=True)
@for_all
def notify(cx: Context, everywhere: bool) -> int | None:
    """List who is told of the events of an app, and how the last message went."""
    rows = cx.api.everything(_path(cx, everywhere))
    if cx.as_json:
        output.print_json(rows)
    elif rows:
        output.table([_line(row) for row in rows], header=("Target", "Events", "Last message", "Id"), flexible=1)
    else:
        output.note("Nobody is told of all apps." if everywhere else f"Nobody is told of {cx.app}.")
        output.hint(f"greenroom notify:add mailto:you@example.com{_flags(cx, everywhere)}")
    return None


def _line(row: dict[str, Any]) -> list[str]:
    last = row["last_delivery"]
    said = "none yet" if last is None else f"{_state(last)} {output.when(last['updated_at'])}"
    return [output.clean(row["target"]), " ".join(row["events"]), said, row["id"]]


def _state(last: dict[str, Any]) -> str:
    word = output.style(last["status"], COLOURS.get(last["status"], "yellow"))
    error = f" ({output.clean(last['error'])})" if last["error"] else ""
    return f"{last['event']}: {word}{error}"


@command("notify:add", example="greenroom notify:add mailto:ops@example.com --events withheld,held,failed")
@click.argument("target")
@click.option("--events", default="", help="names separated by commas, or all; default: all but the steps on the way")
@for_all
def add(cx: Context, target: str, events: str, everywhere: bool) -> int | None:
    """Tell a person or a chat of events: mailto:NAME@HOST, or a URL of Apprise such as slack://...

    A URL with a token is better not typed: give - as TARGET and the URL on standard input.
    """
    url = "".join(line for _, line in stdin_lines()).strip() if target == "-" else target
    names = [name for name in events.replace(" ", ",").split(",") if name]
    with output.progress("Adding the notification"):
        row = cx.api.post(_path(cx, everywhere), {"target": url, "events": names})
    output.note(f"{output.clean(row['target'])} is told of: {', '.join(row['events'])}.")
    output.say(row["id"])
    output.hint(f"greenroom notify:test {row['id']}{_flags(cx, everywhere)}")
    return None


@command("notify:remove", example="greenroom notify:remove 01234567-89ab-cdef-0123-456789abcdef")
@click.argument("id")
@for_all
def remove(cx: Context, id: str, everywhere: bool) -> int | None:
    """Remove a notification."""
    with output.progress("Removing the notification"):
        row = cx.api.delete(_path(cx, everywhere, id))
    output.note(f"{output.clean(row['target'])} is told of nothing any more.")
    return None


@command("notify:test", example="greenroom notify:test 01234567-89ab-cdef-0123-456789abcdef")
@click.argument("id")
@for_all
def test(cx: Context, id: str, everywhere: bool) -> int | None:
    """Send a test message and wait until the receiver has taken it. Exit code 1 if it has not."""
    sent = cx.api.post(_path(cx, everywhere, id, "actions", "test"), {})
    deadline = time.monotonic() + PATIENCE
    with output.progress("Sending a test message"):
        while True:
            last = cx.api.get(_path(cx, everywhere, id))["last_delivery"]
            if last and last["id"] == sent["id"] and last["status"] != "pending":
                break
            if time.monotonic() > deadline:
                raise CliError("The message has not been sent yet.", hint=f"greenroom notify{_flags(cx, everywhere)}")
            time.sleep(POLL)
        if last["status"] != "succeeded":
            cause, remedy = ERRORS.get(last["error"] or "", (last["error"] or "unknown error", "try again"))
            raise CliError(f"The message was not delivered: {cause}.", hint=remedy)
    return None


ERRORS: dict[str, Sequence[str]] = {
    "no-mail-server": (
        "the installation has no mail server",
        "the operator sets one: GREENROOM_SMTP_URL=smtps://USER:PASSWORD@HOST greenroom up",
    ),
    "refused-sign-in": ("the mail server refused the user or the password", "the operator corrects GREENROOM_SMTP_URL"),
    "refused-recipient": ("the mail server does not accept the recipient", "check the address"),
    "refused-message": ("the mail server refused the message", "the operator may have to set GREENROOM_MAIL_FROM"),
    "refused-address": (
        "the target leads to a private address",
        'the operator allows it: GREENROOM_PRIVATE_TARGETS="10.0.0.0/8" greenroom up',
    ),
    "no-connection": ("the mail server cannot be reached", "the operator checks GREENROOM_SMTP_URL"),
    "timeout": ("the service did not answer in time", "try again"),
    "not-taken": ("the service did not take the message", "check the token and the channel in the URL"),
}
"""Error kinds of a delivery -> (cause, remedy)."""
