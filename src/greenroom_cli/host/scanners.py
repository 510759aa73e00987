"""Lists and installs the optional scanners, by calling a script of the server package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from greenroom_cli.host.errors import HostError

SCRIPT = "greenroom.checks.drivers.scanner_tools"


def listed(home: Path) -> list[dict[str, Any]]:
    """``{name, requirement, installed}`` of each optional scanner."""
    rows: list[dict[str, Any]] = json.loads(_call(home, "list"))
    return rows


def install(home: Path, name: str) -> str:
    """Install a scanner; returns a one-line report. HostError with the installer's message if it fails."""
    return _call(home, "install", name)


def _call(home: Path, *arguments: str) -> str:
    argv = [sys.executable, "-m", SCRIPT, str(home), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        message, _, hint = done.stderr.strip().partition("\nhint: ")
        raise HostError(message[-2000:] or "Listing the scanners failed.", hint)
    return done.stdout.strip()
