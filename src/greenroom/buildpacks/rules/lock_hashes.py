"""The hashes in a lock for each version of each package, for all four package managers. Pure: text in, plain values
out.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping

from packaging.utils import canonicalize_name

from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules.requirements import HASH, read_requirements

PINNED = re.compile(r"([a-z0-9.-]+?)(?:\[[^]]*\])?===?([^\s;]+)")
Locked = tuple[str, str, list[str]]


def hashes(manager: str, text: str) -> dict[tuple[str, str], list[str]]:
    """``{(name, version): ["sha256:..."]}`` of a lock file's text, or of resolved requirements (pip). Empty if it is
    invalid.
    """
    readers = {"pip": _requirements, "uv": _uv, "pipenv": _pipenv, "poetry": _poetry}
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    try:
        for name, version, values in readers[manager](text):
            known = found[canonicalize_name(name), version]
            known += [value for value in sorted(values) if value not in known]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, BuildError):
        return {}
    return dict(found)


def _requirements(text: str) -> Iterator[Locked]:
    for line in read_requirements(lambda path: text.encode() if path == "lock" else None, "lock").lines:
        match = PINNED.match(line)
        if match:
            yield match[1], match[2], HASH.findall(line)


def _uv(text: str) -> Iterator[Locked]:
    for package in tomllib.loads(text).get("package", []):
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        yield package["name"], package.get("version", ""), [file["hash"] for file in files if "hash" in file]


def _pipenv(text: str) -> Iterator[Locked]:
    for name, entry in json.loads(text).get("default", {}).items():
        yield name, entry.get("version", "").lstrip("="), entry.get("hashes", [])


def _poetry(text: str) -> Iterator[Locked]:
    value: Mapping = tomllib.loads(text)
    for package in value.get("package", []):
        yield package["name"], package["version"], [file["hash"] for file in package.get("files", [])]
