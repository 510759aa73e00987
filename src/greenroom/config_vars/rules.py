"""Validates config vars, and decides which ones must be set before a release can start."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from greenroom.basics.ids import CONFIG_KEY

MAX_BYTES = 64 * 1024
MAX_NAMES = 1_000
SURROGATE = re.compile("[\ud800-\udfff]")
RESERVED = frozenset({"PORT", "DYNO"})
GIVEN = frozenset(
    {
        "DYNO",
        "HEROKU_APP_NAME",
        "HEROKU_APP_ID",
        "HEROKU_APP_DEFAULT_DOMAIN_NAME",
        "HEROKU_DYNO_ID",
        "HEROKU_RELEASE_VERSION",
        "HEROKU_RELEASE_CREATED_AT",
        "HEROKU_SLUG_COMMIT",
        "HEROKU_SLUG_DESCRIPTION",
        "HEROKU_BUILD_COMMIT",
        "HEROKU_BUILD_DESCRIPTION",
    }
)
"""Reserved names that the platform sets in dynos."""


@dataclass(frozen=True)
class Change:
    """The new map, and the names that were set or removed."""

    values: dict[str, str]
    set: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def describes(self) -> str:
        """The description of the release, in Heroku's wording."""
        parts = []
        if self.set:
            parts.append(f"Set {', '.join(self.set)} config vars")
        if self.removed:
            parts.append(f"Remove {', '.join(self.removed)} config vars")
        return "; ".join(parts)


def problem(key: str, value: object) -> str:
    """The problem of a config var, as a message; '' for a valid one. A value of None removes it."""
    if not CONFIG_KEY.match(key) or len(key) > 256:
        return f"Config var {key[:80]!r} is not allowed: letters, digits and underscores, not starting with a digit."
    if reserved(key):
        return (
            f"Config var {key} is reserved: only the platform sets PORT, DYNO, and names that begin with HEROKU_,"
            " GREENROOM_ or __."
        )
    if value is not None and not isinstance(value, str):
        return f"The value of {key} must be a string or null."
    if isinstance(value, str) and "\0" in value:
        return f"The value of {key} contains a NUL byte, which is not allowed in environment variables."
    if isinstance(value, str) and SURROGATE.search(value):
        return f"The value of {key} contains an unpaired surrogate (\\ud800 to \\udfff)."
    return ""


def given(key: str) -> bool:
    """Whether the platform sets this name in dynos."""
    return key in GIVEN or key in RESERVED


def reserved(key: str) -> bool:
    """Whether only the platform may set this name."""
    return key.startswith(("HEROKU_", "GREENROOM_", "__")) or key in RESERVED


def remedy(key: str) -> str:
    """The hint for a refused key; '' for none."""
    if key == "PORT":
        return (
            "listen on $PORT, which is set in each web dyno; in the Procfile: `web: gunicorn proj.wsgi --bind"
            " 0.0.0.0:$PORT`"
        )
    if key in GIVEN:
        return f"{key} is already set in each dyno; see: greenroom run printenv"
    if reserved(key):
        shorter = key.removeprefix("HEROKU_").removeprefix("GREENROOM_").lstrip("_") or "VALUE"
        return f"use another name, for example APP_{shorter}, and read it in your settings"
    return "for example SECRET_KEY" if not CONFIG_KEY.match(key) else ""


def apply(current: dict[str, str], updates: dict[str, str | None]) -> Change:
    """Apply the updates; the names contain only keys whose value has changed."""
    values = dict(current)
    removed = tuple(sorted(key for key, value in updates.items() if value is None and key in current))
    fresh = {key: value for key, value in updates.items() if value is not None and current.get(key) != value}
    for key in removed:
        del values[key]
    values.update(fresh)
    return Change(values=values, set=tuple(sorted(fresh)), removed=removed)


def too_large(values: Mapping[str, str]) -> str:
    """The message for a map above the limits of 1,000 names and 64 KB, names included; '' below them."""
    size = sum(len(key.encode()) + len(value.encode()) for key, value in values.items())
    if len(values) > MAX_NAMES:
        return f"There would be {len(values)} config vars; {MAX_NAMES} are allowed."
    if size > MAX_BYTES:
        largest = max(values, key=lambda key: len(values[key]))
        return (
            f"The config vars would have {size} bytes in total; {MAX_BYTES} (64 KB) are allowed, names included. "
            f"The largest is {largest} with {len(values[largest].encode())} bytes."
        )
    return ""


def missing(required: dict[str, str], names: list[str]) -> dict[str, str]:
    """The required keys that are not set, each with its reason. Reserved keys are never missing: the platform sets
    them.
    """
    return {key: why for key, why in sorted(required.items()) if key not in names and not reserved(key)}


def first_values(env: dict[str, object], ever_set: set[str], secret: Callable[[], str]) -> dict[str, str | None]:
    """Initial values from ``env`` in app.json, for keys that were never set or removed: ``value``, or a random one for
    ``generator: secret``.

    Reserved names are ignored, as on Heroku: the platform sets them.
    """
    found: dict[str, str | None] = {}
    for key, entry in env.items():
        if key in ever_set or reserved(key):
            continue
        if isinstance(entry, str):
            found[key] = entry
        elif isinstance(entry, dict) and isinstance(entry.get("value"), str):
            found[key] = entry["value"]
        elif isinstance(entry, dict) and entry.get("generator") == "secret":
            found[key] = secret()
    return found


def refusal(app: str, gaps: dict[str, str], remedies: Mapping[str, str]) -> tuple[str, str]:
    """(message, hint) for a release that is refused because required keys are missing. remedies: the command for each
    key that an add-on sets.
    """
    names = ", ".join(gaps)
    lines = [f"required config var{'s' if len(gaps) > 1 else ''} not set: {names}."]
    lines += [f"{key}: {why}" for key, why in gaps.items()]
    settable = [key for key in gaps if key not in remedies]
    hints = [remedies[key] for key in gaps if key in remedies]
    if settable:
        hints.append(f"greenroom config:set {' '.join(f'{key}=...' for key in settable)} -a {app}")
    return "\n".join(lines), " && ".join(hints)
