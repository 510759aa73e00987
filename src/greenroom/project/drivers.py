"""The only place that picks drivers: the local engine of this installation's home."""

from __future__ import annotations

from pathlib import Path

from greenroom.engine.contract import Engine
from greenroom.engine.local.client import LocalEngine


def make_engine(home: Path) -> Engine:
    """The engine of this installation."""
    return LocalEngine(home)
