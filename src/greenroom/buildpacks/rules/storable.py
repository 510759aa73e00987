"""Finds values of a file that PostgreSQL cannot store: NUL bytes, unpaired surrogates, infinity, oversized numbers.
Pure.

The parser of a commit's file refuses them: the database would otherwise refuse the whole row later, without naming a
cause.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

DEEPEST = 100
"""Maximum nesting depth of objects and lists."""
LONGEST = 4_000
"""Maximum bits of an integer."""


def fault(value: object, *, endless: bool = False) -> tuple[str, str] | None:
    """(location, problem) of the first such value; None if everything can be stored.

    endless: infinity and NaN are accepted here, because the caller validates them.
    """
    left: list[tuple[str, object, int]] = [("", value, 0)]
    while left:
        place, found, depth = left.pop()
        allowed = endless and isinstance(found, float)
        problem = (
            ("" if allowed else trouble(found))
            if depth <= DEEPEST
            else f"it is nested too deeply; {DEEPEST} levels are allowed"
        )
        if problem:
            return place[:200] or "top level", problem
        inner: list[tuple[object, object]] = []
        if isinstance(found, Mapping):
            inner = list(found.items())
        elif isinstance(found, list | tuple):
            inner = list(enumerate(found, 1))
        for key, entry in inner:
            if problem := trouble(key):
                return place[:200] or "top level", f"the name {str(key)[:60]!r} is invalid: {problem}"
            left.append((f"{place}.{key}" if place else str(key), entry, depth + 1))
    return None


def trouble(found: object) -> str:
    """The reason why this single value cannot be stored; empty if it can."""
    if isinstance(found, str):
        if "\0" in found:
            return "it contains a NUL character"
        if any("\ud800" <= char <= "\udfff" for char in found):
            return "it contains an unpaired surrogate (\\ud800 to \\udfff)"
    if isinstance(found, float) and not math.isfinite(found):
        return "it is not a finite number"
    if isinstance(found, int) and found.bit_length() > LONGEST:
        return f"the number is too long; {LONGEST} bits are allowed"
    return ""
