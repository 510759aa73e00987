"""How far a dyno's access to the app's add-ons goes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

OWNER, APP, BUILD = "owner", "app", "build"
"""Levels of access: everything, schema changes included; reading and writing data; reading only. A kind that has fewer
levels treats them alike.
"""
ANY = "any"
"""``[policy] schema_changes``: the app's own processes are the owner."""


def role_for(kind: str, policy: Mapping[str, Any], *, migrates: bool = False) -> str:
    """The access of a dyno of that kind. ``run`` is what a person started.

    migrates: of a release command, whether it is known to migrate; ``[policy] migrate_in_release`` is about these
    alone.
    """
    if kind == "run":
        return OWNER
    if kind == "build":
        return BUILD
    free = policy.get("schema_changes") == ANY and kind in ("web", "worker", "release")
    return OWNER if free or (migrates and policy.get("migrate_in_release") is True) else APP


def swapped(env: Mapping[str, str], words: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The environment with each first word replaced by its second, wherever in a value it stands by itself."""
    found = dict(env)
    for old, new in words:
        pattern = re.compile(rf"(?<![0-9A-Za-z_]){re.escape(old)}(?![0-9A-Za-z_])")
        found = {key: pattern.sub(new, value) if old in value else value for key, value in found.items()}
    return found
