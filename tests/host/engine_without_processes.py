"""An engine that has nothing on this machine, as one that runs dynos elsewhere: a module with ``make_engine`` alone."""

from __future__ import annotations

from pathlib import Path

from greenroom.engine.memory import MemoryEngine


def make_engine(home: Path) -> MemoryEngine:
    """For GREENROOM_ENGINE."""
    return MemoryEngine()
