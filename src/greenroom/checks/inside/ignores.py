"""Which files a scan leaves out: ``.checkignore`` with globs, ``#`` comments and ``!`` for what is to be looked at all
the same.
"""

from __future__ import annotations

import fnmatch
import re

TEST_PATH = re.compile(r"(^|/)(tests?|testing)(/|$)|(^|/)(test_[^/]*|[^/]*_test|tests|conftest)\.py$")
LOCAL_SETTINGS = re.compile(r"(?:^|/)settings/(?:local|tests?|testing|ci|dev|development)\.py\Z")


def read(text: str) -> list[str]:
    """The patterns in their order; comments and empty lines are dropped."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def matches(path: str, patterns: list[str]) -> bool:
    """Whether the last pattern that fits the path leaves it out. A pattern fits a path, a folder above it, or a file
    name.
    """
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
    """Whether the file belongs to the tests, where asserts, fixed passwords and the like are no security finding."""
    return bool(TEST_PATH.search(path))


def is_local_settings(path: str) -> bool:
    """Whether the file has the settings of a developer's machine or of tests, where templates of projects put a key
    that guards nothing.
    """
    return bool(LOCAL_SETTINGS.search(path))
