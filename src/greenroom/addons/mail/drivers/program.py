"""Copies the program of the traps to ``<home>/cache/tools``, where the engine can mount it."""

from __future__ import annotations

import hashlib
import shutil
from functools import lru_cache
from pathlib import Path

from greenroom.basics import atomic
from greenroom.engine import names
from greenroom.engine.contract import Mount

FOLDER = "/greenroom/mail"
INSIDE = Path(__file__).parent.parent / "inside"
MAIN = "from trap.server import main\n\nmain()\n"


def mount(home: Path) -> Mount:
    """The mount of the program: a folder for ``python FOLDER``."""
    sources, digest = _sources()

    def fill(folder: Path) -> None:
        (folder / "trap").mkdir()
        for file in sources:
            shutil.copyfile(file, folder / "trap" / file.name)
        (folder / "__main__.py").write_text(MAIN)

    name = f"mail-{digest}"
    atomic.folder(home / "cache" / "tools" / name, fill)
    return Mount(target=FOLDER, source=names.tool(name))


@lru_cache
def _sources() -> tuple[tuple[Path, ...], str]:
    sources = tuple(sorted(INSIDE.glob("*.py")))
    return sources, hashlib.sha256(b"\0".join(file.read_bytes() for file in sources)).hexdigest()[:16]
