"""The ``NAME.changes`` file of a project: what a person changes before the first push. Pure rules."""

from __future__ import annotations

import re
import secrets
import tomllib
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

OUTCOMES = ("live", "held", "withheld", "refused", "failed")
TABLES = ("files", "append", "config", "override", "why")
LISTS = ("remove", "addons", "buildpacks")
TEXTS = ("expect", "manage", "admin")
RANDOM = "random"


class ChangesError(Exception):
    """A mistake in a .changes file."""


@dataclass(frozen=True)
class Changes:
    """files: path -> text of a file to write.   append: path -> text to add at the end of a file.
    remove: files to delete.   config: config var -> value, or ``random``.   addons, buildpacks: to create.
    override: check -> reason of an override, if the gate withholds the commit.
    why: change -> the reason why Heroku requires it too.   expect: the expected outcome.
    manage: path of manage.py.   admin: path of the admin.
    """

    files: dict[str, str] = field(default_factory=dict)
    append: dict[str, str] = field(default_factory=dict)
    remove: list[str] = field(default_factory=list)
    config: dict[str, str] = field(default_factory=dict)
    addons: list[str] = field(default_factory=list)
    buildpacks: list[str] = field(default_factory=list)
    override: dict[str, str] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    expect: str = "live"
    manage: str = "manage.py"
    admin: str = "/admin/"


def read(text: str) -> Changes:
    """Parse and validate a .changes file."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ChangesError(f"not TOML: {error}") from error
    unknown = sorted(set(data) - {*TABLES, *LISTS, *TEXTS})
    if unknown:
        raise ChangesError(f"unknown key: {unknown[0]}; allowed: {', '.join((*TABLES, *LISTS, *TEXTS))}")
    for key, value in data.items():
        if not _fits(key, value):
            kind = "a table of texts" if key in TABLES else "a list of texts" if key in LISTS else "a text"
            raise ChangesError(f"{key}: {kind} is expected")
    for path in (*data.get("files", {}), *data.get("append", {}), *data.get("remove", [])):
        if PurePosixPath(path).is_absolute() or {"..", ".git"} & set(PurePosixPath(path).parts):
            raise ChangesError(f"{path}: a path inside the project is expected")
    if data.get("expect", "live") not in OUTCOMES:
        raise ChangesError(f"expect: allowed: {', '.join(OUTCOMES)}")
    return Changes(**data)


def _fits(key: str, value: Any) -> bool:
    if key in TABLES:
        return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
    if key in LISTS:
        return isinstance(value, list) and all(isinstance(text, str) for text in value)
    return isinstance(value, str)


def summary(changes: Changes) -> list[str]:
    """The changes as short words, for the table."""
    words = [f"+{path}" for path in changes.files]
    words += [f"~{path}" for path in changes.append]
    words += [f"-{path}" for path in changes.remove]
    words += [f"{name}=..." for name in changes.config]
    return words + [f"add-on {name}" for name in changes.addons] + [f"buildpack {name}" for name in changes.buildpacks]


def value_of(text: str) -> str:
    """The value of a config var; ``random`` is a new secret."""
    return secrets.token_urlsafe(48) if text == RANDOM else text


def app_name(folder: str) -> str:
    """A valid app name for a folder: lower-case letters, digits and dashes, 3 to 30 characters."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-")
    name = name if name[:1].isalpha() else f"p-{name}".strip("-")
    return (name if len(name) > 2 else f"{name}-app")[:30].strip("-")
