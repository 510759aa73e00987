"""Loads YAML that anybody may have written: a few hundred bytes of aliases can stand for millions of parts. Pure."""

from __future__ import annotations

from typing import Any

import yaml

MOST, DEEPEST = 20_000, 50
"""Parts of a document with its aliases laid out, and how deep they may be nested."""


def loaded(text: str) -> Any:
    """The document as plain values. yaml.YAMLError, RecursionError; ValueError where it is too large."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        size, height = _measure(node, {}, 0)
        if size > MOST or height > DEEPEST:
            raise ValueError(f"more than {MOST} parts, or nested more than {DEEPEST} deep, with its aliases laid out")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _measure(node: yaml.Node, known: dict[int, tuple[int, int] | None], depth: int) -> tuple[int, int]:
    """(parts, height) of a node with its aliases laid out, each looked at once. ValueError for one that contains
    itself.
    """
    if id(node) in known:
        measured = known[id(node)]
        if measured is None:
            raise ValueError("a part that contains itself")
        return measured
    if depth > DEEPEST:
        raise ValueError(f"nested more than {DEEPEST} deep")
    known[id(node)] = None
    children = [*node.value] if isinstance(node, yaml.SequenceNode) else []
    if isinstance(node, yaml.MappingNode):
        children = [part for pair in node.value for part in pair]
    sizes = [_measure(child, known, depth + 1) for child in children]
    measured = (1 + sum(size for size, _ in sizes), 1 + max((height for _, height in sizes), default=0))
    known[id(node)] = measured
    return measured
