"""Chooses Node.js for ``engines.node`` of package.json: one of the host, else one that Greenroom can download. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from greenroom.buildpacks.errors import BuildError

Version = tuple[int, int, int]
Interval = tuple[Version, Version]
"""(first, end): ``end`` is not included."""
LOWEST: Version = (0, 0, 0)
TOP: Version = (10**9, 0, 0)
LONGEST = 200
_PART = r"(x|X|\*|\d{1,6})"
PARTIAL = re.compile(rf"[v=]*{_PART}(?:\.{_PART})?(?:\.{_PART})?(?:[-+][0-9A-Za-z.+-]+)?\Z")
COMPARATOR = re.compile(r"(>=|<=|>|<|\^|~>?|=|)(.*)\Z")
ANY = frozenset({"", "*", "x", "latest", "current", "node", "lts", "lts/*", "stable"})
REASON = "nodejs::engines"


@dataclass(frozen=True, order=True)
class Node:
    """A Node.js. folder: that of its programs on this host; empty for one that Greenroom downloads."""

    version: Version
    folder: str = ""

    @property
    def text(self) -> str:
        """``22.20.0``."""
        return dotted(self.version)


@dataclass(frozen=True)
class Choice:
    """The chosen Node.js, and a warning if it is not exactly the requested one."""

    node: Node
    warning: str = ""


def dotted(version: Sequence[int]) -> str:
    """``22.20.0``."""
    return ".".join(map(str, version))


def intervals(text: str) -> tuple[Interval, ...] | None:
    """The versions that a range of npm allows; None if it is not a range."""
    if text.strip().lower() in ANY:
        return ((LOWEST, TOP),)
    if len(text) > LONGEST:
        return None
    found = []
    for alternative in text.split("||"):
        one = _alternative(alternative.strip())
        if one is None:
            return None
        found.append(one)
    return tuple(one for one in found if one[0] < one[1])


def _alternative(text: str) -> Interval | None:
    """The intersection of comparators (``>=18 <21``), or a hyphen range (``18 - 20``)."""
    if " - " in text:
        first, _, last = text.partition(" - ")
        lowest, highest = _partial(first.strip()), _partial(last.strip())
        return (lowest[0], highest[1]) if lowest and highest else None
    low, end = LOWEST, TOP
    for word in re.sub(r"(>=|<=|>|<|\^|~>?|=)\s+", r"\1", text).replace(",", " ").split():
        found = _comparator(word)
        if found is None:
            return None
        low, end = max(low, found[0]), min(end, found[1])
    return low, end


def _comparator(word: str) -> Interval | None:
    found = COMPARATOR.match(word)
    known = _partial(found[2]) if found else None
    if found is None or known is None:
        return None
    first, end = known
    if found[1] == "^":
        return first, (max(first[0] + 1, 1), 0, 0)
    if found[1] in ("~", "~>"):
        return first, max(end, (first[0], first[1] + 1, 0))
    table = {">=": (first, TOP), ">": (end, TOP), "<": (LOWEST, first), "<=": (LOWEST, end)}
    return table.get(found[1], known)


def _partial(text: str) -> Interval | None:
    """The versions that begin with this one: ``20`` and ``20.x`` are all of 20."""
    found = PARTIAL.match(text)
    if not found:
        return None
    numbers: list[int] = []
    for part in found.groups():
        if part is None or not part.isdigit():
            break
        numbers.append(int(part))
    if not numbers:
        return LOWEST, TOP
    end = [*numbers[:-1], numbers[-1] + 1]
    return _whole(numbers), _whole(end)


def _whole(numbers: Sequence[int]) -> Version:
    major, minor, patch = (*numbers, 0, 0)[:3]
    return major, minor, patch


def choose(wanted: str, host: Sequence[Node], offered: Sequence[Node]) -> Choice:
    """The newest Node.js of the host in the range, else the newest offered one, else one of the same major version.

    wanted: ``engines.node``, empty for none. offered: versions that can be downloaded. BuildError for none at all.
    """
    allowed = intervals(wanted)
    if allowed is None:
        raise BuildError(
            REASON,
            f"package.json, engines.node: {wanted[:60]!r} is not a range of versions.",
            hint='"engines": {"node": "22.x"} in package.json',
        )
    for nodes in (host, offered):
        exact = [one for one in nodes if any(low <= one.version < end for low, end in allowed)]
        if exact:
            return Choice(max(exact))
    near = [one for one in (*host, *offered) if any(_same_major(one.version, each) for each in allowed)]
    if near:
        best = max(near)
        return Choice(best, f"Warning: Node.js {wanted[:60]} is not available; {best.text} is used.")
    raise _none(wanted, host, offered)


def _same_major(version: Version, allowed: Interval) -> bool:
    """Whether the interval contains any version of this major one."""
    low, end = allowed
    return low < (version[0] + 1, 0, 0) and end > (version[0], 0, 0)


def _none(wanted: str, host: Sequence[Node], offered: Sequence[Node]) -> BuildError:
    known = sorted({one.version for one in (*host, *offered)})
    if not known:
        return BuildError(
            "nodejs::not-here", "This host has no Node.js, and none may be downloaded.", hint="ask the operator"
        )
    listed = ", ".join(dotted(version) for version in known)
    return BuildError(
        REASON,
        f"package.json requires Node.js {wanted[:60]} (engines.node), which is not available. Available: {listed}.",
        hint=f'"engines": {{"node": "{known[-1][0]}.x"}} in package.json',
    )
