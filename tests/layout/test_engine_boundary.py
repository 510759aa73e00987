"""Only the engine knows the paths of a dyno's files, output and sockets; other code calls its methods."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from greenroom.buildpacks.drivers import interpreters
from greenroom.builds.drivers import cache_budget
from greenroom.builds.drivers import tools as builds_tools
from greenroom.checks.drivers import tools as checks_tools
from greenroom.engine import artefacts, names
from greenroom.slugs.models import Slug
from tests.source_trees import nodes

ROOT = Path(__file__).parent.parent.parent / "src"
ENGINE = ROOT / "greenroom" / "engine"
IMPORTERS = {"greenroom/project/drivers.py"}
"""The modules that may import the local engine: they select drivers."""
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
    for name in (
        "contract.py",
        "names.py",
        "artefacts.py",
        "errors.py",
        "host_part.py",
        "left_files.py",
        "memory.py",
        "queries.py",
    ):
        assert not [it for it in _imports(ENGINE / name) if it.startswith("greenroom.engine.local")]


def _names(call: ast.Call) -> list[ast.expr]:
    """The arguments of a Mount or a Forward, besides its path inside."""
    given = {it.arg: it.value for it in call.keywords}
    texts = [given[name] for name in ("source", "upper", "service") if name in given]
    lower = given.get("lower")
    return texts + (lower.elts if isinstance(lower, ast.Tuple) else [lower] if lower else [])


def _calls(path: Path) -> list[ast.Call]:
    return [
        node
        for node in nodes(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Mount", "Forward")
    ]


def _is_path(node: ast.expr) -> bool:
    """Whether the argument is a path: a literal text other than a scratch folder's name, or a ``folder`` attribute."""
    if isinstance(node, ast.Attribute):
        return node.attr == "folder" or node.attr.endswith("_folder")
    if isinstance(node, ast.Constant):
        return not str(node.value).startswith("scratch:")
    return isinstance(node, ast.JoinedStr | ast.BinOp)


def test_rooms_name_what_goes_into_a_dyno_and_give_no_paths():
    calls = [(path, call) for path in SOURCES for call in _calls(path)]
    assert len(calls) > 20
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node)}"
        for path, call in calls
        for node in _names(call)
        if _is_path(node)
    ]
    assert not found
    assert not [path for path, call in calls if call.args], "by keyword, so that this test sees the names"


def test_only_engines_know_where_artefacts_lie():
    assert not [
        path for path in SOURCES if any(name.startswith("greenroom.engine.artefacts") for name in _imports(path))
    ]


def test_rooms_put_artefacts_where_engines_look_for_them():
    slug = Slug(digest="a" * 64, env_key="4f-11")
    caches = [cache_budget.Cache(name, 0) for name in ("uv", "old", "0a1b")]
    pairs = {
        slug.artefact: slug.folder,
        names.environment(slug.env_key): slug.env_folder,
        names.python("cpython-3.12.8"): f"{interpreters.FOLDER}/cpython-3.12.8",
        names.tool("uv-1", "uv"): f"{builds_tools.FOLDER}/uv-1/uv",
        names.tool("ruff-1", "ruff"): f"{checks_tools.FOLDER}/ruff-1/ruff",
        names.scanner("bandit"): f"{checks_tools.SCANNER_FOLDERS}/bandit",
        **{cache.artefact: cache.folder for cache in caches},
    }
    assert {name: artefacts.path(name) for name in pairs} == pairs
