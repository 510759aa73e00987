"""Separates new findings from known ones by rule, path and the line's text, never by line number.

A finding that exists in the deployed code is not new, even if its line moved.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

SCHEME = "greenroom/v1"
SPACE = re.compile(r"\s+")
RENAME_SIMILARITY = 0.5
"""Minimum share of common lines of a renamed file, as in git."""

MAX_CANDIDATES = 500
"""With more new files than this, only files with identical content count as renamed."""


BLOCKING = 2
"""Findings of this or a higher severity (a lower number) fail a check."""


@dataclass(frozen=True)
class Finding:
    """One finding. text: its line without white space; ordinal: its number among identical findings of the file.

    end_line, end_column: 0 if the tool does not report them; not part of the fingerprint.
    state: ``new``, ``unchanged``, ``updated`` (the line changed, the finding did not) or ``moved`` (to another file).
    """

    tool: str
    rule: str
    path: str
    line: int
    column: int
    severity: int
    message: str
    text: str
    ordinal: int = 0
    state: str = "new"
    end_line: int = 0
    end_column: int = 0

    def fingerprint(self) -> str:
        """``greenroom/v1``: stable as long as rule, path and the line's text do not change."""
        body = "|".join((self.tool, self.rule, self.path, self.text, str(self.ordinal)))
        return hashlib.sha256(body.encode()).hexdigest()


def squeeze(line: str) -> str:
    """The line without white space, so that indentation does not matter."""
    return SPACE.sub("", line)


def number(findings: Iterable[Finding]) -> list[Finding]:
    """The findings by line, each with its ordinal among identical findings of its file."""
    seen: Counter = Counter()
    result = []
    for finding in sorted(findings, key=lambda f: (f.path, f.line, f.column, f.rule)):
        equal = (finding.rule, finding.path, finding.text)
        result.append(replace(finding, ordinal=seen[equal]))
        seen[equal] += 1
    return result


def renames(old: Mapping[str, str], new: Mapping[str, str], wanted: Iterable[str]) -> dict[str, str]:
    """Old path -> new path of renamed files, detected by their common lines. wanted: the old paths of interest."""
    gone = sorted(path for path in set(wanted) if path in old and path not in new)
    fresh = sorted(path for path in new if path not in old) if gone else []
    same = {new[path]: path for path in reversed(fresh)}
    found = {path: same.pop(old[path]) for path in gone if old[path] in same}
    taken = set(found.values())
    added = {path: Counter(new[path].splitlines()) for path in fresh if path not in taken}
    if len(added) > MAX_CANDIDATES:
        return found
    for path in gone:
        if path in found or not added:
            continue
        lines = Counter(old[path].splitlines())
        best = max(added, key=lambda other: (_similarity(lines, added[other]), other))
        if _similarity(lines, added[best]) >= RENAME_SIMILARITY:
            found[path] = best
            del added[best]
    return found


def _similarity(one: Counter, other: Counter) -> float:
    total = sum(one.values()) + sum(other.values())
    return 2 * sum((one & other).values()) / total if total else 0.0


def compare(old: Iterable[Finding], new: Iterable[Finding], renamed: Mapping[str, str]) -> list[Finding]:
    """The new findings with their state. renamed: old path -> new path."""
    before = number(replace(finding, path=renamed.get(finding.path, finding.path)) for finding in old)
    after = number(new)
    left = {finding.fingerprint(): finding for finding in before}
    states: dict[int, str] = {}
    for index, finding in enumerate(after):
        if left.pop(finding.fingerprint(), None):
            states[index] = "unchanged"
    rest = list(left.values())
    rest = _pair(after, states, rest, "moved", lambda f: (f.rule, f.text))
    _pair(after, states, rest, "updated", lambda f: (f.rule, f.path, f.message))
    return [replace(finding, state=states.get(index, "new")) for index, finding in enumerate(after)]


def _pair(
    after: list[Finding], states: dict[int, str], rest: list[Finding], state: str, by: Callable[[Finding], tuple]
) -> list[Finding]:
    """Pair undecided findings with unmatched old findings of the same key and give them ``state``. Returns the
    remaining old findings.
    """
    vanished: dict[tuple, list[Finding]] = defaultdict(list)
    for finding in rest:
        vanished[by(finding)].append(finding)
    for index, finding in enumerate(after):
        if index not in states and vanished[by(finding)]:
            vanished[by(finding)].pop(0)
            states[index] = state
    return [finding for group in vanished.values() for finding in group]
