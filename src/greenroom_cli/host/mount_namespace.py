"""Gives the users of apps and of the control plane access through closed parent folders, in a private mount namespace.

In root mode, PostgreSQL, web, worker and each app run as their own users. Over each closed ancestor (``/root``) a small
tmpfs of mode 0711 is mounted, with bind mounts of the needed subfolders. Nothing on disk changes, and other processes
are not affected.
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
    """The topmost ancestor of each path that other users cannot enter -> the paths below it."""
    closed: dict[Path, set[Path]] = {}
    for path in paths:
        for ancestor in reversed(path.resolve().parents):
            if not ancestor.stat().st_mode & 0o001:
                closed.setdefault(ancestor, set()).add(path.resolve())
                break
    return closed


def put_on(paths: Iterable[Path]) -> list[Path]:
    """Make the paths accessible to all users, for this process and its children. Returns the closed folders that were
    covered. HostError when the mount namespace cannot be created.
    """
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
            f"{folder} is closed to other users, and creating a mount namespace failed: {error.strerror}.",
            f"chmod o+x {folder}, or move the home and the virtual environment elsewhere",
        ) from error
    return list(closed)


def _outermost(paths: set[Path]) -> list[Path]:
    return [path for path in sorted(paths) if not any(other in path.parents for other in paths)]


def _cover(libc: ctypes.CDLL, ancestor: Path, children: list[Path]) -> None:
    """Mount the tmpfs and bind the children, which are opened before the tmpfs covers them. This also bypasses closed
    folders further down.
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
