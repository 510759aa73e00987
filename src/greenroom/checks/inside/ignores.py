"""Files that a scan skips: ``.checkignore`` with globs, ``#`` comments, and ``!`` to include files again."""

from __future__ import annotations

import fnmatch
import re

TEST_PATH = re.compile(r"(^|/)(tests?|testing)(/|$)|(^|/)(test_[^/]*|[^/]*_test|tests|conftest)\.py$")
LOCAL_SETTINGS = re.compile(r"(?:^|/)settings/(?:local|tests?|testing|ci|dev|development)\.py\Z")


def read(text: str) -> list[str]:
    """The patterns in order, without comments and empty lines."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def matches(path: str, patterns: list[str]) -> bool:
    """Whether the last matching pattern excludes the path. A pattern matches a path, a parent folder or a file name."""
    ignored = False
    for pattern in patterns:
        keep = pattern.startswith("!")
        if _fits(path, pattern.lstrip("!").strip("/")):
            ignored = not keep
    return ignored


def _fits(path: str, pattern: str) -> bool:
    if fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(path, f"{pattern}/*"):
        return True
    return "/" not in pattern and any(fnmatch.fnmatchcase(part, pattern) for part in path.split("/"))


def is_test(path: str) -> bool:
    """Whether the file is part of the tests, where asserts, fixed passwords and the like are acceptable."""
    return bool(TEST_PATH.search(path))


def is_local_settings(path: str) -> bool:
    """Whether the file contains settings for development or tests, where project templates put a dummy key."""
    return bool(LOCAL_SETTINGS.search(path))
