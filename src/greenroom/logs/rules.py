"""Filters the lines of an app's log, and formats positions and syslog messages. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from greenroom.basics.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Mapping

    from greenroom.basics.logfile import Line, Position

SOURCES = ("app", "heroku")
LOGPLEX = "logplex"
"""The process name of lines about the log itself; every reader gets them."""
MOST_LINES = 100_000
PLACE = re.compile(r"([1-9][0-9]{0,8})-([0-9]{1,12})\Z")


@dataclass(frozen=True)
class Wanted:
    """A filter with Heroku's parameters: ``source`` app or heroku, ``dyno`` a name (``web.1``) or a type (``web``).
    Empty: all.
    """

    source: str = ""
    dyno: str = ""

    def accepts(self, source: str, process: str) -> bool:
        """Whether a line of this source and process is wanted."""
        if source == "heroku" and process == LOGPLEX:
            return True
        if self.source and self.source != source:
            return False
        return not self.dyno or process == self.dyno or process.partition(".")[0] == self.dyno

    def keeps(self, line: Line) -> bool:
        """Whether the line is wanted."""
        return self.accepts(line.source, line.process)


@dataclass(frozen=True)
class Session:
    """The request of a signed log session. ``lines``: number of earlier lines; ``tail``: follow new lines."""

    wanted: Wanted
    lines: int = 100
    tail: bool = False


def session(payload: Mapping[str, Any]) -> Session:
    """The session of a signed payload ``{lines, tail, dyno, source}``; missing keys have Heroku's defaults."""
    lines = payload.get("lines")
    return Session(
        wanted=Wanted(source=str(payload.get("source") or ""), dyno=str(payload.get("dyno") or "")),
        lines=100 if lines is None else max(0, min(MOST_LINES, int(lines))),
        tail=payload.get("tail") is True,
    )


def write_place(position: Position) -> str:
    """A position as the id of a server-sent event: ``3-40961``."""
    return f"{position[0]}-{position[1]}"


def read_place(text: str) -> Position | None:
    """The position that ``write_place`` wrote; None for any other text, and for the position before the first line."""
    match = PLACE.match(text)
    return (int(match[1]), int(match[2])) if match else None


PRIORITIES = {"app": 190, "heroku": 45}
ROUTER, DROPPED = 158, 172
"""Syslog priorities of Heroku's logplex: local7.info, syslog.notice, local3.info for the router, local5.warning for
dropped lines.
"""
BACKOFF = Backoff(first=1, longest=60)


def syslog(line: Line, hostname: str) -> bytes:
    """The line as an RFC 5424 message without structured data, like logplex: ``<190>1 2026-..+00:00 host app web.1 -
    text``.
    """
    source, process = line.source or "app", line.process or "unknown"
    priority = PRIORITIES.get(source, 190)
    if source == "heroku" and process in ("router", LOGPLEX):
        priority = ROUTER if process == "router" else DROPPED
    return f"<{priority}>1 {line.time or '-'} {hostname} {source} {process} - {line.text}\n".encode("utf-8", "replace")


def framed(message: bytes) -> bytes:
    """The message, prefixed with its length (RFC 6587, octet counting)."""
    return b"%d %s" % (len(message), message)


def drain_pause(failures: int) -> int:
    """Seconds until the next attempt after ``failures`` in a row: 1, 2, 4 ... up to a minute, without an end."""
    return BACKOFF.pause(failures) or 0
