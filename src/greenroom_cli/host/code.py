"""The version of Greenroom's code: of what is installed, and of what the components of a home run."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from greenroom.basics import atomic

FILE = "code.json"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Code:
    """version: of the package. digest: 12 hex digits over all its Python files, which tells two checkouts apart."""

    version: str = UNKNOWN
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.version} ({self.digest})" if self.digest else self.version


def installed() -> Code:
    """The code on disk."""
    import greenroom
    import greenroom_cli

    total = hashlib.sha256()
    for package in (greenroom, greenroom_cli):
        top = Path(str(package.__file__)).parent
        for path in sorted(top.rglob("*.py")):
            total.update(str(path.relative_to(top)).encode() + b"\0" + path.read_bytes() + b"\0")
    return Code(importlib.metadata.version("greenroom"), total.hexdigest()[:12])


def running(home: Path) -> Code:
    """The code with which web was last started by ``up`` or ``upgrade``; unknown in a home of an earlier version."""
    try:
        return Code(**json.loads((home / FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return Code()


def remember(home: Path, code: Code) -> None:
    """Write it down."""
    atomic.write(home / FILE, json.dumps(asdict(code)) + "\n")
