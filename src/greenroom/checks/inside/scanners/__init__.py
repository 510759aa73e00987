"""Optional scanners: one package each, with its tool, the files that it reads, and the parser of its report.

The control plane reads ``name``, ``requirement`` and ``network`` of a scanner; all else runs in the dyno. Standard
library only.
"""

from __future__ import annotations

import os
from importlib import import_module

from .kind import Scanner


def names() -> list[str]:
    """The names of all scanners, as greenroom.toml writes them."""
    here = os.path.dirname(__file__)
    folders = (entry for entry in os.listdir(here) if os.path.isfile(os.path.join(here, entry, "__init__.py")))
    return sorted(folder.replace("_", "-") for folder in folders)


def find(name: str) -> Scanner:
    """The scanner of that name. KeyError if there is none."""
    if name not in names():
        raise KeyError(name)
    scanner: Scanner = import_module(f".{name.replace('-', '_')}", __package__).SCANNER
    return scanner
