"""The reserve of the installation's disk: what takes much space is refused while there is still enough for everything
else.
"""

from __future__ import annotations

import os
import shutil

from greenroom.basics.errors import PlatformError

RESERVE = 500_000_000
SHARE = 20
"""Of a disk that is smaller than this many times RESERVE, the share that is kept."""


class DiskFullError(PlatformError):
    """The work would take the space that everything else needs; it can be done when there is more."""

    id = "disk_full"
    status = 507


def lacking(home: str | os.PathLike[str], need: int = 0) -> str:
    """Why work that takes ``need`` bytes cannot begin now, in one sentence; empty when it can."""
    disk = shutil.disk_usage(home)
    reserve = min(RESERVE, disk.total // SHARE)
    if disk.free >= reserve + need:
        return ""
    needs = f" and {need / 1e6:,.0f} MB for this" if need else ""
    return f"Greenroom's disk has {disk.free / 1e6:,.0f} MB free; {reserve / 1e6:,.0f} MB are kept in reserve{needs}"


def guard(home: str | os.PathLike[str], what: str, need: int = 0) -> None:
    """DiskFullError when the disk lacks room. what: the work in the plural, such as "pushes"."""
    text = lacking(home, need)
    if text:
        raise DiskFullError(
            f"{text}, so that {what} wait. Apps go on.",
            hint=(
                "make room with: greenroom destroy, greenroom pg:snapshots:delete; the operator sees what takes it by:"
                " greenroom doctor"
            ),
        )
