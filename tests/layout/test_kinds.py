"""Kinds are obtained from their registry: no code outside a kind's folder imports or names it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from greenroom.addons import registry
from greenroom.addons.rules.services import folders
from tests.source_trees import nodes

SRC = Path(__file__).parent.parent.parent / "src"
API = "greenroom/entrypoints/api"
IMPORTERS = {
    "mail": {f"{API}/views_mail.py"},
    "postgres": {f"{API}/views_pg.py"},
    "redis": {f"{API}/views_redis.py"},
    "volume": {f"{API}/views_volumes.py"},
}
"""Kind -> the API for it, which is specific to the kind."""
ENGINE = "greenroom/engine"
NAMERS = {
    "mail": {f"{API}/schemas/mail.py", f"{API}/views_mail.py"},
    "postgres": {f"{API}/views_pg_copy.py"},
    "volume": {f"{ENGINE}/names.py", f"{ENGINE}/artefacts.py", f"{ENGINE}/local/plan.py"},
}
"""Kind -> other modules with its name. Engines have a kind of artefact of that name."""
PLATFORMS_OWN = {
    "greenroom/project/installation.py",
    "greenroom/project/bootstrap.py",
    "greenroom/project/admin.py",
}
"""They check whether the platform's own server is the embedded one."""
LISTS_OF_WORDS = {"greenroom/checks/inside/secret_values.py"}


@pytest.fixture(params=folders())
def service(request):
    """The service of each kind."""
    return registry.kind(request.param).service


def _outside(kind: str) -> dict[str, Path]:
    """The modules of rooms, entry points and project that are not part of the kind."""
    return {
        str(path.relative_to(SRC)): path
        for path in sorted((SRC / "greenroom").rglob("*.py"))
        if f"addons/{kind}/" not in str(path) and "/migrations/" not in str(path)
    }


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def test_only_its_own_api_imports_a_kind(service):
    package = f"greenroom.addons.{service.kind}"
    found = {
        name
        for name, path in _outside(service.kind).items()
        if any(one == package or one.startswith(package + ".") for one in _imports(path))
    }
    assert found == IMPORTERS.get(service.kind, set())


def test_nobody_else_names_a_kind(service):
    names = {service.kind, service.name}
    found = {
        name
        for name, path in _outside(service.kind).items()
        for node in nodes(path)
        if isinstance(node, ast.Constant) and node.value in names
    }
    allowed = IMPORTERS.get(service.kind, set()) | NAMERS.get(service.kind, set()) | LISTS_OF_WORDS
    assert found - allowed - (PLATFORMS_OWN if service.given else set()) == set()
