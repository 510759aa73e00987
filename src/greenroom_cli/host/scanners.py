"""The optional scanners of an installation, by way of the server package's own script: this command knows none of them
itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from greenroom_cli.host.errors import HostError

SCRIPT = "greenroom.checks.drivers.scanner_tools"


def listed(home: Path) -> list[dict[str, Any]]:
    """{name, requirement, installed} of each."""
    rows: list[dict[str, Any]] = json.loads(_ask(home, "list"))
    return rows


def install(home: Path, name: str) -> str:
    """Install one; what was done, in a line. HostError with the installer's own words if it fails."""
    return _ask(home, "install", name)


def _ask(home: Path, *words: str) -> str:
    argv = [sys.executable, "-m", SCRIPT, str(home), *words]
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        message, _, hint = done.stderr.strip().partition("\nhint: ")
        raise HostError(message[-2000:] or "The scanners cannot be listed.", hint)
    return done.stdout.strip()
