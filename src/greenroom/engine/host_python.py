"""The Python that runs the platform's own programs in dynos."""

from __future__ import annotations

import os
import sys

from greenroom.engine import names
from greenroom.engine.contract import Mount

SYSTEM_PYTHON = "/usr/bin/python3"


def find() -> tuple[str, tuple[Mount, ...]]:
    """The interpreter, and its mounts (none for the system's Python)."""
    if os.access(SYSTEM_PYTHON, os.X_OK):
        return SYSTEM_PYTHON, ()
    prefix, name = sys.base_prefix, f"bin/python{sys.version_info.major}.{sys.version_info.minor}"
    return f"{prefix}/{name}", (Mount(target=prefix, source=names.host(prefix)),)
