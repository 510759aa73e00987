"""Only the engine knows where a dyno's files, output and sockets are; everybody else asks its verbs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.source_trees import nodes

ROOT = Path(__file__).parent.parent.parent / "src"
ENGINE = ROOT / "greenroom" / "engine"
IMPORTERS = {"greenroom/project/drivers.py"}
"""Who may import the local engine: the place that picks drivers."""
FILES = re.compile(r"run/(?:dynos|scratch|trash)|run/supervisor\.|state\.json|(?:attach|resume)\.sock")
"""Names of the local engine's files and sockets. A slug's ``scratch:NAME`` is the contract's own word."""
SOURCES = [path for path in sorted(ROOT.rglob("*.py")) if ENGINE not in path.parents]
MIGRATIONS = re.compile(r"/migrations/\d")


def _imports(path: Path) -> list[str]:
    found = []
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def test_only_the_place_that_picks_drivers_imports_the_local_engine():
    found = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if any(name.startswith("greenroom.engine.local") for name in _imports(path))
    }
    assert found == IMPORTERS


def test_nobody_names_a_file_or_a_socket_of_the_engine():
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.value[:80]!r}"
        for path in SOURCES
        if not MIGRATIONS.search(str(path))
        for node in nodes(path)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and FILES.search(node.value)
    ]
    assert not found


def test_the_contract_knows_no_engine():
    for name in ("contract.py", "errors.py", "host_part.py", "left_files.py", "memory.py", "queries.py"):
        assert not [it for it in _imports(ENGINE / name) if it.startswith("greenroom.engine.local")]
