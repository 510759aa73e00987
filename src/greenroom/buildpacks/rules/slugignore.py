"""Files excluded by .slugignore: gitignore's patterns without negation, as on Heroku. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pathspec import GitIgnoreSpec

from greenroom.buildpacks.errors import BuildError


def patterns(data: bytes) -> tuple[list[str], list[str]]:
    """(supported patterns, unsupported ones: negations)."""
    given = [line for _, line in _lines(data)]
    return [line for line in given if not line.startswith("!")], [line for line in given if line.startswith("!")]


def _lines(data: bytes) -> list[tuple[int, str]]:
    """(line number, line) without comments and empty lines."""
    lines = [(number, line.rstrip()) for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1)]
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def ignored(data: bytes, names: Iterable[str]) -> list[str]:
    """The names excluded from the slug, sorted. BuildError with the line for an invalid pattern."""
    specs = [_spec(number, line) for number, line in _lines(data) if not line.startswith("!")]
    return sorted(GitIgnoreSpec([pattern for spec in specs for pattern in spec.patterns]).match_files(names))


def _spec(number: int, line: str) -> GitIgnoreSpec:
    try:
        return GitIgnoreSpec.from_lines([line])
    except (ValueError, re.error) as error:
        raise BuildError(
            "slugignore::invalid",
            f".slugignore, line {number}: {line[:100]!r} is not a valid gitignore pattern. A line may not end in a"
            " backslash, and a range in brackets goes from the lower character to the higher one.",
            hint=f"correct line {number} of .slugignore; for a folder write docs/",
        ) from error
