"""Decides the route of an app: the sockets of its healthy web dynos, or an error page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from greenroom.dynos.rules import MAX_WEB


@dataclass(frozen=True)
class Page:
    """An error page, and the seconds after which it reloads (0: never)."""

    title: str
    text: str
    reload: int = 0


PAGES: dict[str, dict[str, Page]] = {
    "H81": {
        "": Page("Nothing here yet", "This app has been created, but no version of it has been published."),
        "starting": Page(
            "Starting up", "The first version of this app is being prepared. This page reloads automatically.", 5
        ),
        "held": Page(
            "Almost ready",
            "The first version of this app is waiting for an update of its database. Please come back later.",
            30,
        ),
        "refused": Page(
            "Not published yet",
            "The first version of this app was not released, because something it needs is missing or a check failed.",
        ),
        "failed": Page(
            "Not available", "The first version of this app could not be started. Its developers can see the reason."
        ),
    },
    "H14": {"": Page("Not running", "This app is switched off at the moment.")},
    "H80": {
        "": Page("Offline for maintenance", "This app is undergoing maintenance. Please come back in a while.", 30)
    },
    "H10": {
        "": Page(
            "Out of order", "This app stopped unexpectedly and is being restarted. Please try again in a moment.", 10
        )
    },
}
"""Heroku's router code -> variant -> page. A route names ``H81`` or ``H81-starting``."""

FIRST_STATES = {
    **dict.fromkeys(("received", "building", "checking", "releasing", "rolling_out"), "starting"),
    "held": "held",
    "refused": "refused",
    "failed": "failed",
}
"""State of the newest delivery -> the variant of H81, until the first release is live."""

SLOTS = MAX_WEB
CRASHES_UNTIL_PAGE = 2


@dataclass(frozen=True)
class Web:
    """A web dyno of the live release: its socket, whether it answers, and the number of consecutive crashes."""

    socket: str
    healthy: bool
    restarts: int = 0


@dataclass(frozen=True)
class Facts:
    """The input for a route. ``wanted``: number of web dynos of the live release; ``now``: the sockets served now.

    first: the variant of the page while nothing has been released.
    """

    has_release: bool
    maintenance: bool
    wanted: int
    webs: Sequence[Web]
    now: Sequence[str]
    first: str = ""


@dataclass(frozen=True)
class Target:
    """Sockets, or a page: a key of PAGES, with ``-`` and a variant where it has several."""

    sockets: tuple[str, ...] = ()
    page: str = ""


def target(facts: Facts) -> Target:
    """The target of the app's route.

    While the only dyno restarts after a first crash, the route keeps its sockets: the proxy waits for them for some
    seconds.
    """
    if facts.maintenance:
        return Target(page="H80")
    if not facts.has_release:
        return Target(page=f"H81-{facts.first}" if facts.first else "H81")
    if facts.wanted == 0:
        return Target(page="H14")
    healthy = tuple(sorted(web.socket for web in facts.webs if web.healthy))
    if healthy:
        return Target(sockets=healthy)
    crashing = any(web.restarts >= CRASHES_UNTIL_PAGE for web in facts.webs)
    return Target(page="H10") if crashing or not facts.now else Target(sockets=tuple(facts.now))


def slots(sockets: Sequence[str], count: int = SLOTS) -> list[str]:
    """The socket of each fixed slot of the proxy: 12 divides evenly by 1, 2, 3, 4 and 6 dynos."""
    return [sockets[i % len(sockets)] for i in range(count)]
