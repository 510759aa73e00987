"""Decides which packages may be installed once for all apps: only pinned versions of the platform's own index, each
with its hashes. Pure.

A shared environment is created from such lines only, and from no file of an app; see docs/reference/shared-paths.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name

from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules.requirements import HASH, read_requirements

HARMLESS = ("--pre", "--prefer-binary", "--require-hashes", "--only-binary")
"""Options of requirements files that affect only the resolution."""
PUBLIC = re.compile(r"https://pypi\.[a-z]{2,7}/simple\Z")
"""URL of the public index in a lock. It only decides where an environment is created: shared packages come from the
platform's own index, by hash.
"""
LINE = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9.-]*)(?:\[[A-Za-z0-9,._-]*\])?==(?P<version>[A-Za-z0-9][A-Za-z0-9.!+_-]*)"
    r"(?: ; [A-Za-z0-9_ .,'\"<>=!~()+*-]+)?(?: --hash=sha(?:256|384|512):[0-9a-f]{64,128})+\Z"
)


def pinned(files: Mapping[str, str], main: str) -> tuple[str, ...] | None:
    """The normalised, sorted lines of a requirements file and of the files that it includes. None if a line is not a
    pinned version with hashes, or if an option affects more than the resolution.
    """
    try:
        found = read_requirements(lambda path: files[path].encode() if path in files else None, main)
    except BuildError:
        return None
    if found.local or found.moving or any(not option.startswith(HARMLESS) for option in found.options):
        return None
    return found.lines if all(LINE.match(line) for line in found.lines) else None


def pinned_text(text: str) -> tuple[str, ...] | None:
    """``pinned`` for one text."""
    return pinned({"lock": text}, "lock")


def names(text: str) -> list[str]:
    """The package names in a list of pinned lines."""
    return [found["name"] for line in pinned_text(text) or () if (found := LINE.match(line))]


def only_default_index(urls: Iterable[str], settings: Mapping[str, str]) -> bool:
    """Whether a lock uses only the public index and the operator's (``settings`` as uv's variables)."""
    own = [word for name in ("UV_DEFAULT_INDEX", "UV_INDEX") for word in settings.get(name, "").split()]
    others = {_plain(url) for url in urls} - {_plain(url) for url in own}
    return all(PUBLIC.match(url) for url in others)


def _plain(url: str) -> str:
    """The URL without credentials, a leading ``name=`` and a trailing slash."""
    parts = urlsplit(re.sub(r"\A[A-Za-z0-9_.-]+=", "", url))
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")


def file_sets(lines: Iterable[str], packages: Mapping[str, Any], *more: str) -> dict[str, str]:
    """``{key: digest of the files}`` of installed packages whose wheels the lines pin.

    packages: ``{name: [version, bytes, digest of its RECORD]}`` as reported by the installer. The key is a hash of the
    name, the version, the allowed hashes and ``more`` (Python version, target path): the same key always means the same
    wheel, so its digest never changes.
    """
    allowed: dict[str, list[str]] = {}
    for line in lines:
        if found := LINE.match(line):
            allowed.setdefault(found["name"], []).extend(HASH.findall(line))
    made = {}
    for name, (version, _, digest) in packages.items():
        hashes = allowed.get(canonicalize_name(name))
        if hashes and digest:
            made[hashlib.sha256("\0".join([name, version, *sorted(hashes), *more]).encode()).hexdigest()] = digest
    return made
