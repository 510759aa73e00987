"""Disk usage of folders."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def bytes_of(folder: Path) -> int:
    """The sizes of all files below it in bytes; one that goes meanwhile counts nothing."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(path, name)).st_size
    return total
