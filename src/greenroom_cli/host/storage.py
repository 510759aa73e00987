"""How much of the disk an installation takes, by folder of its home; what is linked from several places counts once."""

from __future__ import annotations

import os
from pathlib import Path

FOLDERS = ("slugs", "envs", "cache", "sources", "repos", "logs", "postgres")
NAMES = 2_000_000
"""How many files are looked at, at most: a doctor does not keep people waiting."""


def measure(home: Path) -> dict[str, int]:
    """``{folder: bytes}`` on disk, for the folders that are there. What may not be read counts nothing."""
    seen: set[tuple[int, int]] = set()
    return {name: _size(home / name, seen) for name in FOLDERS if (home / name).is_dir()}


def _size(top: Path, seen: set[tuple[int, int]]) -> int:
    size = 0
    for folder, _, names in os.walk(top):
        for name in names:
            try:
                facts = os.lstat(os.path.join(folder, name))
            except OSError:
                continue
            if (facts.st_dev, facts.st_ino) not in seen and len(seen) < NAMES:
                seen.add((facts.st_dev, facts.st_ino))
                size += facts.st_blocks * 512
    return size


def text(sizes: dict[str, int]) -> str:
    """``slugs 1.2 MB, envs 80.0 MB ...``, the largest first."""
    rows = sorted(sizes.items(), key=lambda row: -row[1])
    return ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in rows) or "nothing yet"
