"""Measures the space of a volume on the disk, with bounded work and without following links.

Tenants fill the folder: its size, its depth and its names are untrusted.
"""

from __future__ import annotations

import os
import time

from greenroom.engine.contract import Usage

FILES, DEPTH = 500_000, 60
"""Limits of the count; see ``Usage``."""
PIECE, REST = 500, 0.001
"""Pauses for REST seconds after so many entries, so that other requests of the supervisor get their turn."""
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def measure(path: str) -> Usage:
    """Measure the folder; nothing if it does not exist. Files with several names count once. Raises OSError."""
    try:
        top = os.open(path, _FLAGS)
    except FileNotFoundError:
        return Usage()
    walk = _Walk()
    walk.enter(top, 0)
    return Usage(bytes=round(walk.blocks) * 512, files=walk.files, complete=walk.complete)


class _Walk:
    """One count. Holds one descriptor per level, at most DEPTH."""

    def __init__(self) -> None:
        self.blocks, self.files, self.complete = 0.0, 0, True

    def enter(self, folder: int, depth: int) -> None:
        """Count what is in the folder, and close it."""
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if self.files >= FILES:
                        self.complete = False
                        return
                    self._count(folder, entry, depth)
        finally:
            os.close(folder)

    def _count(self, folder: int, entry: os.DirEntry[str], depth: int) -> None:
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:  # removed meanwhile
            return
        self.files += 1
        if not self.files % PIECE:
            time.sleep(REST)
        if not entry.is_dir(follow_symlinks=False):
            self.blocks += status.st_blocks / max(1, status.st_nlink)
            return
        self.blocks += status.st_blocks
        if depth == DEPTH:
            self.complete = False
            return
        try:
            inner = os.open(entry.name, _FLAGS, dir_fd=folder)
        except FileNotFoundError:
            return
        except OSError:  # closed by its owner, in development mode; or a link by now
            self.complete = False
            return
        self.enter(inner, depth + 1)
