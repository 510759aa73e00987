"""Collects the template of each hint that the product prints: parts computed at run time are ``{}``."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.source_trees import nodes, text

SRC = Path(__file__).parent.parent.parent / "src"
WALKED = [
    "greenroom/deliveries",
    "greenroom/releases",
    "greenroom/app_migrations/actions/__init__.py",
    "greenroom/app_migrations/actions/rollback_consent.py",
    "greenroom/dynos/actions/__init__.py",
    "greenroom/dynos/queries/__init__.py",
    "greenroom/entrypoints/api/views_formation.py",
    "greenroom/entrypoints/api/views_gate.py",
    "greenroom_cli/deliveries.py",
    "greenroom_cli/releases.py",
    "greenroom_cli/config.py",
    "greenroom_cli/ps.py",
    "greenroom_cli/checks.py",
    "greenroom_cli/migrations.py",
]
"""The rooms and commands of deliveries, releases, checks, dynos, config vars, rollbacks and migrations."""


def templates(node: ast.expr) -> list[str]:
    """The possible texts of an expression; ``{}`` for parts that are not constant."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.JoinedStr):
        return ["".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)]
    if isinstance(node, ast.IfExp):
        return [*templates(node.body), *templates(node.orelse)]
    if isinstance(node, ast.BoolOp):
        return [text for value in node.values for text in templates(value)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        rights = templates(node.right) or ["{}"]
        return [left + right for left in templates(node.left) or ["{}"] for right in rights]
    return []


def of_file(path: Path) -> set[str]:
    """``hint=...`` and ``hint = ...``, ``output.hint(...)``, and lines that begin with ``hint: ``."""
    found: set[str] = set()
    if "hint" not in text(path):
        return set()  # all forms contain the word
    skipped = {id(part) for node in nodes(path) if isinstance(node, ast.JoinedStr) for part in node.values}
    skipped |= {
        id(node.value) for node in nodes(path) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in nodes(path):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.keyword) and node.arg == "hint":
            found.update(templates(node.value))
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "hint"
            and node.args
        ):
            found.update(templates(node.args[0]))
        elif isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id in ("hint", "hints") for target in node.targets
        ):
            values = node.value.elts if isinstance(node.value, ast.List) else [node.value]
            found.update(text for value in values for text in templates(value))
        elif isinstance(node, ast.Constant | ast.JoinedStr):
            found.update(text.partition("hint: ")[2] for text in templates(node) if "hint: " in text)
    return {text for text in found if text.strip("{} \n")}


def all_hints() -> dict[str, set[str]]:
    """File below src -> its hints."""
    files = [
        path
        for name in WALKED
        for path in ([SRC / name] if name.endswith(".py") else sorted((SRC / name).rglob("*.py")))
    ]
    found = {str(path.relative_to(SRC)): of_file(path) for path in files}
    return {name: texts for name, texts in found.items() if texts}
