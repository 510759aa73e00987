"""No import cycles between files: a module can be read without the modules that import it.

Each ``import`` counts, also inside functions and under ``TYPE_CHECKING``.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from tests.source_trees import nodes

SRC = Path(__file__).parent.parent.parent / "src"
PACKAGES = ("greenroom", "greenroom_cli")


def _name(path: Path) -> str:
    return ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")


def _sources() -> dict[str, Sequence[ast.AST]]:
    """Module -> the nodes of its tree."""
    return {_name(path): nodes(path) for name in PACKAGES for path in sorted((SRC / name).rglob("*.py"))}


def _imported(name: str, statement: ast.Import | ast.ImportFrom, known: Collection[str]) -> Iterator[str]:
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
        return
    base = statement.module or ""
    if statement.level:
        package = any(other.startswith(f"{name}.") for other in known)
        parts = name.split(".")
        base = ".".join([*parts[: len(parts) + package - statement.level], *filter(None, [base])])
    for alias in statement.names:
        module = f"{base}.{alias.name}"
        yield module if module in known else base


def _with_packages(name: str, other: str) -> Iterator[str]:
    """The module and the packages that Python imports before it, without those of the importing module."""
    yield other
    while other := other.rpartition(".")[0]:
        if not f"{name}.".startswith(f"{other}."):
            yield other


def imports(sources: Mapping[str, Sequence[ast.AST]]) -> dict[str, set[str]]:
    """Module -> the modules of ``sources`` that it imports."""
    return {
        name: {
            other
            for statement in parts
            if isinstance(statement, ast.Import | ast.ImportFrom)
            for direct in _imported(name, statement, sources)
            for other in _with_packages(name, direct)
            if other in sources and other != name
        }
        for name, parts in sources.items()
    }


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach each other, by Tarjan's algorithm."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in order:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == order[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(graph):
        if name not in order:
            visit(name)
    return sorted(found)


def test_no_files_import_each_other():
    assert circles(imports(_sources())) == []


def test_a_circle_is_found_inside_functions_and_between_types():
    planted = {
        "a.b": "from a.c import thing",
        "a.c": "def thing():\n    from a import d\n",
        "a.d": "import a.b",
        "a.e": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a.f\nimport a.b",
        "a.f": "import a.e",
        "a.g": "import a.b",
    }
    trees = {name: list(ast.walk(ast.parse(text))) for name, text in planted.items()}
    assert circles(imports(trees)) == [
        ["a.b", "a.c", "a.d"],
        ["a.e", "a.f"],
    ]
