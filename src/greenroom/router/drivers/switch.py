"""The routes on disk: symlinks from host names to apps, and from an app's slots to dynos, replaced by an atomic rename
without reloading Caddy.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from greenroom.basics import atomic
from greenroom.router.rules import PAGES, Target, error_pages, slots

HOSTS = "run/router/hosts"
CERTIFIED = "run/router/certified"
"""The host names for which the router may get a certificate: the same links as in HOSTS."""
HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?\Z")


def apply(home: Path, folder: str, target: Target, app: str) -> None:
    """Write the target into the app's folder. Each slot changes by one rename; the same target changes nothing."""
    place = home / "run" / "router" / folder
    place.mkdir(mode=0o750, parents=True, exist_ok=True)
    if target.page:
        _show(place, target.page, app)
        return
    for number, socket in enumerate(slots(target.sockets)):
        _point(place / str(number), os.path.relpath(home / socket, place))
    _hide(place, keep="")


def lead_hosts(home: Path, sites: Mapping[str, str], folder: str = HOSTS) -> bool:
    """Link each host name to its app's folder, and remove all other links; True if anything has changed. A wildcard's
    ``*`` is written ``_``.
    """
    place = home / folder
    place.mkdir(mode=0o750, parents=True, exist_ok=True)
    wanted = {_link_name(host): f"../{folder}" for host, folder in sites.items()}
    there = {entry.name: os.readlink(entry.path) if entry.is_symlink() else "" for entry in os.scandir(place)}
    for name, goal in wanted.items():
        if there.get(name) != goal:
            _point(place / name, goal)
    for name in set(there) - set(wanted):
        (place / name).unlink(missing_ok=True)
    return there != wanted


def folder_of(home: Path, host: str) -> str | None:
    """The app's folder (its id in hex) for a host name or a wildcard that covers it; None if there is none."""
    name = host.lower().rstrip(".")
    if not HOST.match(name):
        return None
    for one in (name, "_." + name.partition(".")[2]):
        try:
            return Path(os.readlink(home / HOSTS / one)).name
        except OSError:
            continue
    return None


def _link_name(host: str) -> str:
    return f"_{host[1:]}" if host.startswith("*") else host


def _point(link: Path, goal: str) -> None:
    if link.is_symlink() and os.readlink(link) == goal:
        return
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(goal)
    temporary.replace(link)


def _show(place: Path, name: str, app: str) -> None:
    code, _, variant = name.partition("-")
    body = error_pages.page(code, PAGES[code].get(variant, PAGES[code][""]), app)
    path = place / f"{code}.html"
    if not path.exists() or path.read_text() != body:
        atomic.write(path, body)
    _hide(place, keep=code)


def _hide(place: Path, keep: str) -> None:
    for code in PAGES:
        if code != keep:
            (place / f"{code}.html").unlink(missing_ok=True)


def remove(home: Path, folder: str) -> None:
    """Remove the route of an app, if it exists."""
    place = home / "run" / "router" / folder
    if place.is_dir():
        for path in place.iterdir():
            path.unlink()
        place.rmdir()
