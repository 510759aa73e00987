"""Loads untrusted YAML with limits: a few hundred bytes of aliases can expand to millions of nodes. Pure."""

from __future__ import annotations

from typing import Any

import yaml

MOST, DEEPEST = 20_000, 50
"""Limits of a document after the expansion of aliases: number of nodes and nesting depth."""


def loaded(text: str) -> Any:
    """The document as plain values. Raises yaml.YAMLError, RecursionError, and ValueError if it is too large."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        size, height = _measure(node, {}, 0)
        if size > MOST or height > DEEPEST:
            raise ValueError(f"more than {MOST} nodes or more than {DEEPEST} levels after the expansion of aliases")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _measure(node: yaml.Node, known: dict[int, tuple[int, int] | None], depth: int) -> tuple[int, int]:
    """(nodes, height) of a node after the expansion of aliases. Raises ValueError for a recursive node."""
    if id(node) in known:
        measured = known[id(node)]
        if measured is None:
            raise ValueError("a node contains itself")
        return measured
    if depth > DEEPEST:
        raise ValueError(f"more than {DEEPEST} levels")
    known[id(node)] = None
    children = [*node.value] if isinstance(node, yaml.SequenceNode) else []
    if isinstance(node, yaml.MappingNode):
        children = [part for pair in node.value for part in pair]
    sizes = [_measure(child, known, depth + 1) for child in children]
    measured = (1 + sum(size for size, _ in sizes), 1 + max((height for _, height in sizes), default=0))
    known[id(node)] = measured
    return measured
