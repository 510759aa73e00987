"""The health gate: sends a request to a dyno over its socket, like the router does, before the dyno gets traffic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from socket import socket as Socket  # noqa: N812

from greenroom.basics import health_check
from greenroom.basics.unixsock import connect

SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    """The result of a health check, with a one-line detail.

    remedy: how to fix the app, if known.   https: the app redirects to HTTPS.
    """

    healthy: bool
    detail: str
    remedy: str = ""
    https: bool = False

    @property
    def text(self) -> str:
        """The line, and the remedy as a hint below it."""
        return f"{self.detail}\nhint: {self.remedy}" if self.remedy else self.detail


def ask(socket: Path, *, host: str, path: str, timeout: float = SECONDS, known: Sequence[str] = ()) -> Answer:
    """Request the health path as over HTTPS and follow redirects within the app, for up to ``timeout`` seconds.
    ``known``: the app's other host names.
    """

    def connected(seconds: float) -> Socket:
        return connect(socket, timeout=seconds)

    found = health_check.question(connected, host, path, timeout, known)
    https = found.healthy and health_check.sends_to_https(connected, host, path, timeout)
    return Answer(found.healthy, found.detail, found.remedy, https)
