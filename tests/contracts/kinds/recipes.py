"""Reads CONTRIBUTING's recipes, and adds a kind from a temporary folder to a registry for one test."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[3]


def recipe(heading: str) -> str:
    """The section of CONTRIBUTING.md under ``heading``."""
    found = re.search(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", (ROOT / "CONTRIBUTING.md").read_text(), re.M | re.S
    )
    assert found, f"CONTRIBUTING.md has no section {heading!r}"
    return found[1]


@contextmanager
def added(registry: ModuleType, folder: Path, name: str, files: dict[str, str]) -> Iterator[None]:
    """The registry with one more folder, as if ``folder/name`` were part of the package."""
    for path, text in files.items():
        (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / name / path).write_text(text)
    kept = registry.__path__
    registry.__path__ = [*kept, str(folder)]
    try:
        yield
    finally:
        registry.__path__ = kept
        for module in [m for m in sys.modules if m.startswith(f"{registry.__name__}.{name}")]:
            del sys.modules[module]
        vars(registry).pop(name, None)
