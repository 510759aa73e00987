"""Writes a result file for the control plane atomically."""

from __future__ import annotations

import json
import os
from typing import Any


def write(folder: str, name: str, content: dict[str, Any]) -> None:
    """Write ``content`` as JSON to a temporary file and rename it to ``folder/name``."""
    target = os.path.join(folder, name)
    with open(f"{target}.new", "w", encoding="utf-8") as file:
        json.dump(content, file)
    os.chmod(f"{target}.new", 0o644)
    os.rename(f"{target}.new", target)
