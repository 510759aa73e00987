"""The engines of kinds of add-ons whose resources are dynos: in memory, one for each home."""

from __future__ import annotations

from pathlib import Path

from greenroom.engine.memory import MemoryEngine

ENGINES: dict[Path, MemoryEngine] = {}


def make_engine(home: Path) -> MemoryEngine:
    """The engine of a home."""
    return ENGINES.setdefault(home, MemoryEngine())
