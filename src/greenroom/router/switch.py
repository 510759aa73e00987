"""The router's second act: an atomic change of where an app's slots lead. Symlinks and page files only; Caddy is not told."""

from __future__ import annotations

import os
from pathlib import Path

from greenroom.router import pages
from greenroom.router.rules import PAGES, Target, slots


def apply(home: Path, folder: str, target: Target, app: str) -> None:
    """Make the folder say what the target says. Same target: no change. Each slot changes by one rename."""
    place = home / "run" / "router" / folder
    place.mkdir(mode=0o750, parents=True, exist_ok=True)
    if target.page:
        _show(place, target.page, app)
        return
    for number, socket in enumerate(slots(target.sockets)):
        _point(place / str(number), os.path.relpath(home / socket, place))
    _hide(place, keep="")


def _point(link: Path, goal: str) -> None:
    if link.is_symlink() and os.readlink(link) == goal:
        return
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(goal)
    temporary.replace(link)


def _show(place: Path, code: str, app: str) -> None:
    title, text, command = PAGES[code]
    body = pages.page(code, title, text, command, app)
    path = place / f"{code}.html"
    if not path.exists() or path.read_text() != body:
        temporary = place / f".{code}.{os.getpid()}"
        temporary.write_text(body)
        temporary.replace(path)
    _hide(place, keep=code)


def _hide(place: Path, keep: str) -> None:
    for code in PAGES:
        if code != keep:
            (place / f"{code}.html").unlink(missing_ok=True)


def remove(home: Path, folder: str) -> None:
    """Remove what an app had; unknown folder: nothing."""
    place = home / "run" / "router" / folder
    if place.is_dir():
        for path in place.iterdir():
            path.unlink()
        place.rmdir()
