"""Access levels of dynos to the app's add-ons. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

OWNER, APP, BUILD = "owner", "app", "build"
"""Access levels: owner (everything, schema changes included), app (read and write data), build (read only).

A kind with fewer levels treats them alike.
"""
ANY = "any"
"""``[policy] schema_changes``: the app's own processes get owner access."""


def role_for(kind: str, policy: Mapping[str, Any], *, migrates: bool = False) -> str:
    """The access level of a dyno of that kind. ``run``: started by a user.

    migrates: whether a release command is known to migrate; ``[policy] migrate_in_release`` applies to these only.
    """
    if kind == "run":
        return OWNER
    if kind == "build":
        return BUILD
    free = policy.get("schema_changes") == ANY and kind in ("web", "worker", "release", "scheduler")
    return OWNER if free or (migrates and policy.get("migrate_in_release") is True) else APP


def swapped(env: Mapping[str, str], words: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The environment with each first value replaced by its second wherever it occurs as a separate token."""
    found = dict(env)
    for old, new in words:
        pattern = re.compile(rf"(?<![0-9A-Za-z_]){re.escape(old)}(?![0-9A-Za-z_])")
        found = {key: pattern.sub(new, value) if old in value else value for key, value in found.items()}
    return found
