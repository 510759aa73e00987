"""Assigns each home of this host its own range of uids, so that apps of different installations never share a user.

The ranges are in one file of the host, changed under a lock; each home stores its own. A copied home gets a new range,
and its apps' files are changed to their new uids before anything runs.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator

from greenroom.basics import locking

REGISTRY = "/var/lib/greenroom/uids.json"
MARK = "uids"
"""The file of a home that contains its first uid."""
FIRST, SIZE = 200_000, 100_000
"""The first uid of homes before there were ranges, and the number of uids per home. The uid below the first is the
platform's.
"""
OTHERS, STEP, MOST = 1_900_000_000, 200_000, 1_000
"""Further ranges, in numbers that systemd does not use."""
FOLDERS = ("builds", "cache", "envs", "logs", "run", "slugs", "sources", "volumes")


def first_uid(home: str, *, living: bool, registry: str = REGISTRY) -> tuple[int, str]:
    """Return the uid of the home's app number 0, and a warning, if any. As root.

    living: whether dynos of the home run: then its uids stay the same until the next start without dynos.
    """
    had = _mark(home) or (FIRST if os.path.isdir(os.path.join(home, "logs")) else 0)
    try:
        with _registry(registry) as ranges:
            mine = _choose(ranges, home, had)
            if had and mine != had and living:
                return had, f"this home shares its uids ({had}...) with another one until it starts again without dynos"
            ranges[str(mine)] = (
                # before the move: if it is interrupted, no other home gets the range, and the next start continues it
                home
            )
        if had and mine != had:
            move(home, had, mine)
    except OSError as error:
        return had or FIRST, f"uids cannot be kept apart from those of other homes: {registry}: {error.strerror}"
    _remember(home, mine)
    return mine, ""


def _choose(ranges: dict[str, str], home: str, had: int) -> int:
    known = next((int(first) for first, other in ranges.items() if other == home), 0)
    if known:
        return known
    free = (
        first
        for first in (had, FIRST, *range(OTHERS, OTHERS + STEP * MOST, STEP))
        if first and str(first) not in ranges
    )
    return next(free)


@contextlib.contextmanager
def _registry(path: str) -> Iterator[dict[str, str]]:
    """First uid -> home, for existing homes; changes are written back."""
    with locking.held(path + ".lock"):
        ranges = {first: other for first, other in _read(path).items() if os.path.isdir(other)}
        yield ranges
        draft = path + "~"
        with open(draft, "w") as file:
            json.dump(ranges, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.rename(draft, path)


def _read(path: str) -> dict[str, str]:
    try:
        with open(path) as file:
            found = json.load(file)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise OSError(22, f"it is not JSON ({error})", path) from None
    if not isinstance(found, dict):
        raise OSError(22, "it is not a table of homes", path)
    return {str(first): str(home) for first, home in found.items()}


def _mark(home: str) -> int:
    try:
        with open(os.path.join(home, MARK)) as file:
            return int(file.read(20))
    except (OSError, ValueError):
        return 0


def _remember(home: str, first: int) -> None:
    path = os.path.join(home, MARK)
    with open(path + "~", "w") as file:
        file.write(f"{first}\n")
    os.rename(path + "~", path)


def move(home: str, before: int, after: int) -> None:
    """Change the owner of a home's files from the uids from ``before`` to those from ``after``. Repeatable; follows no
    link. Raises OSError.
    """

    def new(number: int) -> int:
        return number - before + after if before - 1 <= number < before + SIZE else -1

    for top in FOLDERS:
        if not os.path.isdir(os.path.join(home, top)):
            continue
        for _, folders, files, handle in os.fwalk(os.path.join(home, top), follow_symlinks=False):
            for name in (*folders, *files):
                status = os.stat(name, dir_fd=handle, follow_symlinks=False)
                if new(status.st_uid) >= 0 or new(status.st_gid) >= 0:
                    os.chown(name, new(status.st_uid), new(status.st_gid), dir_fd=handle, follow_symlinks=False)
