"""Syntax trees of source files, parsed once per test process, and names in them."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path


@cache
def text(path: Path) -> str:
    """The text of a file."""
    return path.read_text()


@cache
def tree(path: Path) -> ast.Module:
    """The tree of a file. Do not change it: it is shared."""
    return ast.parse(text(path))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of a file, in the order of ``ast.walk``."""
    return tuple(ast.walk(tree(path)))


def dotted(node: ast.expr) -> str:
    """``a.b.c`` for such an expression; for others the part after their end, as ``.c`` for ``f().c``. "" if none."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""
