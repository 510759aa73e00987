"""What the router should serve for an app: the sockets of healthy web dynos, or the page that says why there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from greenroom.dynos.rules import MAX_WEB

PAGES: dict[str, tuple[str, str, str]] = {
    "H81": ("No code here yet", "Nothing has been deployed to this app.", "git push greenroom HEAD:master"),
    "H14": (
        "No web dynos",
        "The app is deployed and scaled to zero, or has no web process.",
        "greenroom ps:scale web=1",
    ),
    "H80": ("Offline for maintenance", "This app is undergoing maintenance. Please come back in a while.", ""),
    "H10": ("The app has crashed", "It ended again and again; Greenroom goes on trying.", "greenroom logs --tail"),
}
"""Heroku's router code -> title, text, and the owner's next step."""

SLOTS = MAX_WEB
CRASHES_UNTIL_PAGE = 2


@dataclass(frozen=True)
class Web:
    """A web dyno of the live release: its socket, whether it answers, and how often it crashed in a row."""

    socket: str
    healthy: bool
    restarts: int = 0


@dataclass(frozen=True)
class Facts:
    """What decides a route. ``wanted``: how many web dynos the live release should have; ``now``: what is served now."""

    has_release: bool
    maintenance: bool
    wanted: int
    webs: Sequence[Web]
    now: Sequence[str]


@dataclass(frozen=True)
class Target:
    """Sockets, or a page (a key of PAGES)."""

    sockets: tuple[str, ...] = ()
    page: str = ""


def target(facts: Facts) -> Target:
    """Where requests should go now.

    While the only dyno restarts after a first crash, the route keeps its sockets: the proxy waits for them for some seconds.
    """
    if facts.maintenance:
        return Target(page="H80")
    if not facts.has_release:
        return Target(page="H81")
    if facts.wanted == 0:
        return Target(page="H14")
    healthy = tuple(sorted(web.socket for web in facts.webs if web.healthy))
    if healthy:
        return Target(sockets=healthy)
    crashing = any(web.restarts >= CRASHES_UNTIL_PAGE for web in facts.webs)
    return Target(page="H10") if crashing or not facts.now else Target(sockets=tuple(facts.now))


def slots(sockets: Sequence[str], count: int = SLOTS) -> list[str]:
    """Which socket each fixed slot of the proxy leads to: 12 divides evenly by 1, 2, 3, 4 and 6 dynos."""
    return [sockets[i % len(sockets)] for i in range(count)]
