"""Disk usage of an installation, by folder. Files with several hard links are counted once."""

from __future__ import annotations

import os
from pathlib import Path

FOLDERS = ("slugs", "envs", "cache", "sources", "repos", "logs", "postgres", "volumes", "snapshots", "backups")
MAX_FILES = 2_000_000
"""Limit of files that are counted, to keep ``doctor`` fast."""


def measure(home: Path) -> dict[str, int]:
    """``{folder: bytes}`` on disk, for the existing folders. Unreadable files are skipped."""
    seen: set[tuple[int, int]] = set()
    return {name: _size(home / name, seen) for name in FOLDERS if (home / name).is_dir()}


def _size(top: Path, seen: set[tuple[int, int]]) -> int:
    size = 0
    for folder, _, names in os.walk(top):
        for name in names:
            try:
                status = os.lstat(os.path.join(folder, name))
            except OSError:
                continue
            if (status.st_dev, status.st_ino) not in seen and len(seen) < MAX_FILES:
                seen.add((status.st_dev, status.st_ino))
                size += status.st_blocks * 512
    return size


def text(sizes: dict[str, int]) -> str:
    """``slugs 1.2 MB, envs 80.0 MB ...``, the largest first."""
    rows = sorted(sizes.items(), key=lambda row: -row[1])
    return ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in rows) or "nothing yet"
