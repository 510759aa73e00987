"""The suite's psycopg for dynos, which run the system's Python."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from greenroom.engine.contract import Mount
from tests.engine.machine import PYTHON, Machine

PACKAGES = ("psycopg", "psycopg_binary", "psycopg_binary.libs", "typing_extensions.py")

FOLDER = "/app"
"""Where the mount lies in a dyno."""


def same_minor() -> bool:
    """Whether the system's Python has the suite's version, and can import its compiled packages."""
    if not os.access(PYTHON, os.X_OK):
        return False
    code = "import sys; print(sys.version_info[:2] == tuple(map(int, sys.argv[1:])))"
    argv = [PYTHON, "-c", code, *map(str, sys.version_info[:2])]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip() == "True"


def mount(machine: Machine) -> Mount:
    """A slug with psycopg. It can be imported if the system's Python has the suite's version."""
    slug = machine.slug("psycopg")
    copy_to(machine.at(slug))
    machine.own(str(machine.at(slug)))
    return Mount(target=FOLDER, source=slug, mode="ro")


def copy_to(folder: Path) -> None:
    """Copy psycopg and what it imports."""
    spec = importlib.util.find_spec("psycopg")
    assert spec
    site = Path(str(spec.origin)).parent.parent
    for name in (*PACKAGES, *(path.name for path in site.glob("psycopg*.dist-info"))):
        if (site / name).is_dir():
            shutil.copytree(site / name, folder / name, dirs_exist_ok=True)
        elif (site / name).exists():
            shutil.copy(site / name, folder / name)
