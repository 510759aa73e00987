"""``logs``: prints the log of an app, once or continuously.

``--tail`` uses server-sent events. After a lost connection their ids let it continue without gaps or duplicates.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command
from greenroom_cli.errors import ApiError, CliError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LINE = re.compile(r"(?P<at>\S+) (?P<source>[^\s\[]+)\[(?P<dyno>[^\]]*)\]: ?(?P<text>.*)\Z", re.DOTALL)
PALETTE = ("yellow", "green", "cyan", "magenta", "blue")
PATIENCE = 60.0
"""Seconds of an interruption after which ``--tail`` gives up."""


@command("logs", example="greenroom logs --tail -a ach-payslip-staging\ngreenroom logs -n 500 --dyno web.1", json=True)
@click.option("-t", "--tail", is_flag=True, help="Keep printing new lines.")
@click.option("-n", "--num", type=click.IntRange(0, 100_000), help="Number of lines (default: 100).")
@click.option(
    "-d", "--dyno", "--ps", default="", metavar="DYNO", help="Lines of one dyno (web.1) or process type (web)."
)
@click.option("-s", "--source", default="", metavar="SOURCE", help="Lines of one source: app or heroku.")
def logs(cx: Context, tail: bool, num: int | None, dyno: str, source: str) -> int | None:
    """Show the log: output of dynos, router requests and platform events.

    With --json each line is a JSON object {at, source, dyno, text}.
    """
    body: dict[str, Any] = {"tail": tail}
    body |= {
        key: value for key, value in (("lines", num), ("dyno", dyno), ("source", source)) if value not in (None, "")
    }

    def session() -> str:
        return cx.api.post(cx.path("log-sessions"), body)["logplex_url"]

    for line in follow(cx, session) if tail else cx.api.stream(session()):
        print(_as_json(line) if cx.as_json else coloured(line), flush=tail)
    return None


def follow(cx: Context, session: Callable[[], str]) -> Iterator[str]:
    """Yield lines without end, across lost connections. An expired log session is replaced by a new one."""
    url, last, heard = session(), "", time.monotonic()
    fresh = True
    while True:
        try:
            events = _events(cx.api.stream(url, accept="text/event-stream", last_id=last), last)
            for line, last in events:  # noqa: B007 -- read by the next connection
                heard, fresh = time.monotonic(), False
                yield line
        except ApiError as error:
            if error.status not in (403, 404):
                raise
            if fresh:
                raise CliError("Log stream timed out.", hint=f"greenroom logs --tail{cx.flags()}") from error
            url, fresh = session(), True
        except UnreachableError:
            if time.monotonic() > heard + PATIENCE:
                raise
        time.sleep(0.5)


def _events(lines: Iterator[str], last: str) -> Iterator[tuple[str, str]]:
    """(data, id) of server-sent events."""
    data: list[str] = []
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "id":
            last = value
        elif not line and data:
            yield "\n".join(data), last
            data = []


def coloured(line: str) -> str:
    """The line with its prefix in the colour of the process type, on a terminal; otherwise without colours."""
    text = output.clean(line, keep_colours=output.colours(_stdout()))
    match = LINE.match(text)
    if not match:
        return text
    head = f"{match['at']} {match['source']}[{match['dyno']}]:"
    colour = PALETTE[sum(match["dyno"].partition(".")[0].encode()) % len(PALETTE)]
    return f"{output.style(head, colour)} {match['text']}"


def _stdout() -> Any:
    import sys

    return sys.stdout


def _as_json(line: str) -> str:
    import json

    match = LINE.match(line)
    return json.dumps(match.groupdict() if match else {"text": line}, ensure_ascii=False)
