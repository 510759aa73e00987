"""Finds the CPython interpreters of this host that a sandbox can use. Downloads none."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from greenroom.buildpacks.rules.python_versions import Interpreter
from greenroom.engine.contract import PYTHONS

NAME = re.compile(r"python3\.(\d+)\Z")
MANAGED = re.compile(r"(?:cpython-)?(3)\.(\d+)\.(\d+)(?:-.*)?\Z")
NAMED = "GREENROOM_PYTHONS"
"""The environment variable with the interpreters that ``greenroom up`` has found, because the worker has another user
and home.
"""
FOLDER = "cache/python"
"""Folder of the interpreters that Greenroom downloads, relative to home."""
PLACES = (Path("/usr/bin"), Path("/usr/local/bin"))
OLDEST = (3, 8)
"""The oldest version that the scripts in dynos support; the app's policy decides on unsupported versions."""
QUESTION = "import sys,platform; print(*sys.version_info[:3], platform.python_implementation())"


def folders() -> list[Path]:
    """The folders of version managers."""
    home = Path(os.path.expanduser("~"))
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
    return [Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python"), pyenv / "versions"]


def _candidates() -> list[Path]:
    found = [place / f"python3.{minor}" for place in PLACES for minor in range(OLDEST[1], 30)]
    for folder in folders():
        for child in sorted(folder.iterdir()) if os.access(folder, os.R_OK | os.X_OK) else ():
            match = MANAGED.match(child.name)
            if match and (3, int(match[2])) >= OLDEST:
                found.append(child / "bin" / f"python3.{match[2]}")
    found += [Path(entry) for entry in os.environ.get(NAMED, "").split(os.pathsep) if NAME.match(Path(entry).name)]
    found += [Path(entry) / f"python3.{minor}" for entry in _path() for minor in range(OLDEST[1], 30)]
    base = Path(getattr(sys, "_base_executable", None) or sys.executable)
    found.append(base.resolve().parent / f"python3.{sys.version_info[1]}")
    return [path for path in found if os.access(path, os.X_OK) and path.is_file()]


def _path() -> list[str]:
    """The folders of PATH, without shims (scripts that choose an interpreter by the current folder)."""
    return [entry for entry in os.environ.get("PATH", "").split(os.pathsep) if entry and "shims" not in entry]


def reachable_by_others(path: Path) -> bool:
    """Whether other users can enter all parent folders: dynos run under their own uid."""
    real = path.resolve()
    return all(os.stat(folder).st_mode & stat.S_IXOTH for folder in real.parents) and bool(
        real.stat().st_mode & stat.S_IXOTH
    )


@lru_cache(maxsize=256)
def _ask(path: str, stamp: tuple[int, int]) -> tuple[int, int, int] | None:
    """The version of the executable, None if it is not CPython. ``stamp``: a cache key of the file."""
    try:
        answer = subprocess.run(
            [path, "-I", "-S", "-c", QUESTION], capture_output=True, text=True, timeout=10, env={}, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    parts = answer.stdout.split()
    if len(parts) != 4 or parts[3] != "CPython":
        return None
    return int(parts[0]), int(parts[1]), int(parts[2])


def prefix_of(path: Path) -> str:
    """The folder that a sandbox must mount for this interpreter; '' below /usr, which every sandbox mounts."""
    prefix = path.resolve().parent.parent
    return "" if prefix == Path("/usr") or Path("/usr") in prefix.parents else str(prefix)


def _fetched(home: Path) -> list[Interpreter]:
    """The interpreters that Greenroom has downloaded into its home, without uv's links from 3.N to the newest patch."""
    found = []
    folder = home / FOLDER
    for child in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = MANAGED.match(child.name)
        path = child / "bin" / f"python3.{match[2]}" if match else child
        if not match or child.is_symlink() or not path.is_file():
            continue
        facts = path.stat()
        version = _ask(str(path), (facts.st_mtime_ns, facts.st_size))
        if version:
            found.append(Interpreter(version, f"{PYTHONS}/{child.name}/bin/{path.name}", f"{PYTHONS}/{child.name}"))
    return found


def find(*, others: bool | None = None, home: Path | None = None) -> list[Interpreter]:
    """The interpreters of this host, oldest first, one per version (those in /usr before others).

    others: leave out what other users cannot reach; default: only when running as root, since dynos then have their own
    uid.
    home: also those that were fetched into this home.
    """
    others = os.geteuid() == 0 if others is None else others
    found: dict[tuple[int, int, int], Interpreter] = {}
    for path in _candidates():
        real = path.resolve()
        if others and not reachable_by_others(real):
            continue
        facts = real.stat()
        version = _ask(str(real), (facts.st_mtime_ns, facts.st_size))
        if version and version[:2] >= OLDEST:
            known = Interpreter(version, str(real), prefix_of(real))
            if version not in found or (found[version].prefix and not known.prefix):
                found[version] = known
    for known in _fetched(home) if home else ():
        found.setdefault(known.version, known)
    return [found[version] for version in sorted(found)]
