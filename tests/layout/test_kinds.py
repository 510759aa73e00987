"""Kinds are obtained from their registry: no code outside a kind's folder imports or names it."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.source_trees import nodes

SRC = Path(__file__).parent.parent.parent / "src"
IMPORTERS = {"greenroom/entrypoints/api/views_pg.py"}
"""Heroku's API for PostgreSQL: it is specific to that kind."""
API_OF_POSTGRES = {*IMPORTERS, "greenroom/entrypoints/api/views_pg_copy.py"}
PACKAGE = "greenroom.addons.postgres"
NAMES = {"postgres", "heroku-postgresql"}
PLATFORMS_OWN = {
    "greenroom/project/installation.py",
    "greenroom/project/bootstrap.py",
    "greenroom/project/admin.py",
}
"""They check whether the platform's own server is the embedded one."""
LISTS_OF_WORDS = {"greenroom/checks/inside/secret_values.py"}


def _outside() -> dict[str, Path]:
    """The modules of rooms, entry points and project that are not part of the kind."""
    return {
        str(path.relative_to(SRC)): path
        for path in sorted((SRC / "greenroom").rglob("*.py"))
        if "addons/postgres" not in str(path) and "/migrations/" not in str(path)
    }


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def test_only_its_own_api_imports_the_kind_postgres():
    found = {
        name
        for name, path in _outside().items()
        if any(one == PACKAGE or one.startswith(PACKAGE + ".") for one in _imports(path))
    }
    assert found == IMPORTERS


def test_nobody_else_names_the_kind_postgres():
    found = {
        name
        for name, path in _outside().items()
        for node in nodes(path)
        if isinstance(node, ast.Constant) and node.value in NAMES
    }
    assert found - API_OF_POSTGRES - PLATFORMS_OWN - LISTS_OF_WORDS == set()


def test_no_module_of_the_cli_imports_an_add_on():
    imports = {name for path in (SRC / "greenroom_cli").rglob("*.py") for name in _imports(path)}
    assert not [name for name in imports if name.startswith("greenroom.addons")]
