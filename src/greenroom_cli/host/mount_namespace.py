"""Lets the users of apps and of the control plane pass closed folders above the home, in a mount namespace of
Greenroom's own.

As root, PostgreSQL, web and worker and each app run under users of their own. Over each closed ancestor (``/root``) a
small tmpfs of
mode 0711 is mounted, and the needed children are bound into it at the same paths; nothing on disk changes, nobody else
sees it.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

from greenroom_cli.host.errors import HostError

CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18


def closed_ancestors(paths: Iterable[Path]) -> dict[Path, set[Path]]:
    """The highest folder above each path that others cannot enter -> the paths below it."""
    closed: dict[Path, set[Path]] = {}
    for path in paths:
        for ancestor in reversed(path.resolve().parents):
            if not ancestor.stat().st_mode & 0o001:
                closed.setdefault(ancestor, set()).add(path.resolve())
                break
    return closed


def put_on(paths: Iterable[Path]) -> list[Path]:
    """Make the paths reachable for everybody in this process and its children; the folders that were veiled."""
    closed = closed_ancestors(paths)
    if not closed:
        return []
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        _check(libc.unshare(CLONE_NEWNS))
        _mount(libc, "none", "/", None, MS_REC | MS_PRIVATE)
        for ancestor, children in closed.items():
            _cover(libc, ancestor, _outermost(children))
    except OSError as error:
        folder = next(iter(closed))
        raise HostError(
            f"{folder} is closed to other users, and a mount namespace could not be made: {error.strerror}.",
            f"chmod o+x {folder}, or put the home and the virtual environment elsewhere",
        ) from error
    return list(closed)


def _outermost(paths: set[Path]) -> list[Path]:
    return [path for path in sorted(paths) if not any(other in path.parents for other in paths)]


def _cover(libc: ctypes.CDLL, ancestor: Path, children: list[Path]) -> None:
    """Mount the tmpfs and bind the children, which were opened before it covered them; deeper closed folders are opened
    likewise.
    """
    handles = {child: os.open(child, os.O_PATH | os.O_DIRECTORY) for child in children}
    _mount(libc, "tmpfs", str(ancestor), "tmpfs", 0, "mode=0711,size=1m")
    for child, handle in handles.items():
        child.mkdir(parents=True, exist_ok=True)
        _mount(libc, f"/proc/self/fd/{handle}", str(child), None, MS_BIND | MS_REC)
        os.close(handle)


def _mount(libc: ctypes.CDLL, source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    _check(
        libc.mount(
            source.encode(), target.encode(), kind.encode() if kind else None, flags, data.encode() if data else None
        )
    )


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
