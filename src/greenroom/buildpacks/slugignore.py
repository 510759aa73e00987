"""Which files .slugignore leaves out: gitignore's patterns without negation, as on Heroku. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pathspec import GitIgnoreSpec


def patterns(data: bytes) -> tuple[list[str], list[str]]:
    """The patterns that count, and those that do not (negations)."""
    lines = [line.rstrip() for line in data.decode("utf-8", "replace").splitlines()]
    given = [line for line in lines if line and not line.startswith("#")]
    return [line for line in given if not line.startswith("!")], [line for line in given if line.startswith("!")]


def ignored(data: bytes, names: Iterable[str]) -> list[str]:
    """The names that are left out of the slug, sorted."""
    wanted, _ = patterns(data)
    spec = GitIgnoreSpec.from_lines(wanted)
    return sorted(spec.match_files(names))
