"""Finds values that PostgreSQL cannot store in JSON: NUL characters, unpaired surrogates, infinity, too long numbers.

Readers refuse a file that contains one; otherwise the database would refuse the complete row later.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

DEEPEST = 100
"""Limit of nested objects and lists."""
LONGEST = 4_000
"""Limit of an integer, in bits."""


def fault(value: object, *, endless: bool = False) -> tuple[str, str] | None:
    """Where the first such thing stands, and what is wrong with it; None when all of the value can be stored.

    endless: infinity and NaN may stand there, since the caller says what is allowed instead.
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
                return place[:200] or "top level", f"the name {str(key)[:60]!r} cannot be: {problem}"
            left.append((f"{place}.{key}" if place else str(key), entry, depth + 1))
    return None


def trouble(found: object) -> str:
    """Why this value cannot be stored; '' if it can."""
    if isinstance(found, str):
        if "\0" in found:
            return "it contains a NUL character"
        if any("\ud800" <= char <= "\udfff" for char in found):
            return "it contains half of a surrogate pair (\\ud800 to \\udfff), which is no character"
    if isinstance(found, float) and not math.isfinite(found):
        return "it is not a finite number"
    if isinstance(found, int) and found.bit_length() > LONGEST:
        return f"the number is too long; {LONGEST} bits are allowed"
    return ""
