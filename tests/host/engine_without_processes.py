"""An engine without processes on this machine, like one with remote dynos: a module with only ``make_engine``."""

from __future__ import annotations

from pathlib import Path

from greenroom.engine.memory import MemoryEngine


def make_engine(home: Path) -> MemoryEngine:
    """For GREENROOM_ENGINE."""
    return MemoryEngine()
