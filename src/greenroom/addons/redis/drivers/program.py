"""Copies the server's program to ``<home>/cache/tools``, where the engine can mount it."""

from __future__ import annotations

import shutil
from pathlib import Path

from greenroom.basics import atomic, redis_programs
from greenroom.engine import names
from greenroom.engine.contract import Mount

FOLDER = "/greenroom/redis"
NAME = "redis-server"
PROGRAM = f"{FOLDER}/{NAME}"


def mount(home: Path) -> Mount:
    """The mount of the program's folder. PlatformError if there is no program."""
    path = redis_programs.server()
    name = f"redis-{redis_programs.version(path)}"

    def fill(folder: Path) -> None:
        shutil.copyfile(path, folder / NAME)
        (folder / NAME).chmod(0o755)

    atomic.folder(home / "cache" / "tools" / name, fill)
    return Mount(target=FOLDER, source=names.tool(name))
