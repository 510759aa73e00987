"""``branches`` of a .travis.yml: whether the file is for a branch. Pure; a pattern of the file never costs more than a
moment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MAX_PATTERN, MAX_STEPS = 200, 50_000_000
"""Patterns that are longer, or that could take more steps at worst, are not evaluated."""

RUBY = ((r"\A", "^"), (r"\z", "$"), (r"\Z", "$"))
PATTERN = re.compile(r"/(.*)/([imx]*)\Z", re.DOTALL)
REPEAT = re.compile(r"(?<!\\)(?:[*+?]|\{\d*,\d*\})")
GROUP_REPEATED = re.compile(r"(?<!\\)\)[*+?{]")
BACKWARDS_OR_AROUND = re.compile(r"\(\?|\\[1-9]")


def verdict(branches: Any, branch: str) -> tuple[bool, str]:
    """(whether the file is for the branch, what the table says of ``branches``). ``only`` goes before ``except``, as on
    Travis.

    An entry is a name or a ``/pattern/``. One that cannot be evaluated never leaves the branch out.
    """
    given = branches if isinstance(branches, Mapping) else {"only": branches}
    if given.get("only") is not None:
        found = [matches(entry, branch) for entry in _list(given["only"])]
        if True in found:
            return True, f"only: {branch} is one of them"
        return (
            (True, "only: not evaluated; the tests run")
            if None in found or not found
            else (False, f"branches.only leaves out {branch}")
        )
    if given.get("except") is not None:
        if any(matches(entry, branch) is True for entry in _list(given["except"])):
            return False, f"branches.except leaves out {branch}"
        return True, f"except: {branch} is none of them"
    return True, "neither only nor except in it; the tests run"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def matches(entry: Any, branch: str) -> bool | None:
    """Whether a name or a pattern is this branch's; None if that cannot be told."""
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
    """How many ways there are at worst to lay a pattern without repeated groups over a text: each repetition may end
    anywhere, each bar doubles.
    """
    places = len(REPEAT.findall(pattern)) + (not pattern.startswith("^"))
    return int((length + 1) ** places) * 2 ** pattern.count("|")
