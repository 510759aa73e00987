"""``branches`` of a .travis.yml: whether the file applies to a branch. Pure; slow patterns are not evaluated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MAX_PATTERN, MAX_STEPS = 200, 50_000_000
"""Limits for patterns: length and worst-case number of steps. Patterns over a limit are not evaluated."""

RUBY = ((r"\A", "^"), (r"\z", "$"), (r"\Z", "$"))
PATTERN = re.compile(r"/(.*)/([imx]*)\Z", re.DOTALL)
REPEAT = re.compile(r"(?<!\\)(?:[*+?]|\{\d*,\d*\})")
GROUP_REPEATED = re.compile(r"(?<!\\)\)[*+?{]")
BACKWARDS_OR_AROUND = re.compile(r"\(\?|\\[1-9]")


def verdict(branches: Any, branch: str) -> tuple[bool, str]:
    """(whether the file applies to the branch, the table's text). ``only`` overrides ``except``, as on Travis.

    An entry is a name or a ``/pattern/``. An entry that cannot be evaluated never excludes the branch.
    """
    given = branches if isinstance(branches, Mapping) else {"only": branches}
    if given.get("only") is not None:
        found = [matches(entry, branch) for entry in _list(given["only"])]
        if True in found:
            return True, f"only: includes {branch}"
        return (
            (True, "only: not evaluated; the tests run")
            if None in found or not found
            else (False, f"branches.only excludes {branch}")
        )
    if given.get("except") is not None:
        if any(matches(entry, branch) is True for entry in _list(given["except"])):
            return False, f"branches.except excludes {branch}"
        return True, f"except: does not list {branch}"
    return True, "neither only nor except; the tests run"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def matches(entry: Any, branch: str) -> bool | None:
    """Whether a name or a pattern matches the branch; None if unknown."""
    if not isinstance(entry, str):
        return None
    pattern = PATTERN.match(entry)
    if pattern is None:
        return entry == branch
    text, flags = pattern.groups()
    for ruby, python in RUBY:
        text = text.replace(ruby, python)
    if (
        len(text) > MAX_PATTERN
        or _steps(text, len(branch)) > MAX_STEPS
        or GROUP_REPEATED.search(text)
        or BACKWARDS_OR_AROUND.search(text)
    ):
        return None
    try:
        return re.search(text, branch, re.IGNORECASE if "i" in flags else 0) is not None
    except (re.error, OverflowError, RecursionError):
        return None


def _steps(pattern: str, length: int) -> int:
    """Worst-case number of matching steps of a pattern without repeated groups: each repetition may end anywhere, each
    alternative doubles the number.
    """
    places = len(REPEAT.findall(pattern)) + (not pattern.startswith("^"))
    return int((length + 1) ** places) * 2 ** pattern.count("|")
