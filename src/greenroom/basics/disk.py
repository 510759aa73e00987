"""The disk reserve of the installation: work that needs much space is refused before the disk is full."""

from __future__ import annotations

import os
import shutil

from greenroom.basics.errors import PlatformError

RESERVE = 500_000_000
SHARE = 20
"""Of a disk that is smaller than this many times RESERVE, the share that is kept."""


class DiskFullError(PlatformError):
    """The work would use the disk reserve. Retry when space is free."""

    id = "disk_full"
    status = 507


def left(home: str | os.PathLike[str]) -> int:
    """The bytes that are free beside the reserve; below 0 if the reserve is in use."""
    disk = shutil.disk_usage(home)
    return disk.free - min(RESERVE, disk.total // SHARE)


def lacking(home: str | os.PathLike[str], need: int = 0) -> str:
    """Why work that needs ``need`` bytes cannot start now, as a message; '' when it can."""
    disk = shutil.disk_usage(home)
    reserve = min(RESERVE, disk.total // SHARE)
    if disk.free >= reserve + need:
        return ""
    needs = f", and this needs {need / 1e6:,.0f} MB" if need else ""
    return f"Greenroom's disk has {disk.free / 1e6:,.0f} MB free; the reserve is {reserve / 1e6:,.0f} MB{needs}"


def guard(home: str | os.PathLike[str], what: str, need: int = 0) -> None:
    """DiskFullError when the disk lacks space. what: the work as a plural noun, such as "pushes"."""
    text = lacking(home, need)
    if text:
        raise DiskFullError(
            f"{text}. The {what} wait until space is free. Apps keep running.",
            hint=(
                "free space with greenroom destroy or greenroom pg:snapshots:delete; the operator can check disk usage"
                " with greenroom doctor"
            ),
        )
