"""Finds the Node.js of this host that a sandbox can use: one in /usr, with its npm. Downloads none."""

from __future__ import annotations

import os
import re
import subprocess
from functools import lru_cache
from pathlib import Path

from greenroom.buildpacks.rules.node_versions import Node

PLACES = (Path("/usr/local/bin"), Path("/usr/bin"))
OLDEST = 18
"""The oldest major version that npm, yarn and pnpm of a build support."""
VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)\Z")


def find(places: tuple[Path, ...] = PLACES) -> list[Node]:
    """The versions of this host, one per folder."""
    found = []
    for place in places:
        program = place / "node"
        if not (os.access(program, os.X_OK) and _npm(place)):
            continue
        facts = program.stat()
        version = _ask(str(program), (facts.st_mtime_ns, facts.st_size))
        if version and version[0] >= OLDEST:
            found.append(Node(version, str(place)))
    return found


def _npm(place: Path) -> bool:
    """Whether npm and npx lie beside it, and all three lead into /usr, which every sandbox mounts."""
    paths = [place / name for name in ("node", "npm", "npx")]
    return all(path.exists() and str(path.resolve()).startswith("/usr/") for path in paths)


@lru_cache(maxsize=16)
def _ask(path: str, stamp: tuple[int, int]) -> tuple[int, int, int] | None:
    """The version of the executable, None if it does not answer. stamp: a cache key of the file."""
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, env={}, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    match = VERSION.match(answer.stdout.strip())
    return (int(match[1]), int(match[2]), int(match[3])) if match else None
