"""What config vars may be called and hold, and the environment contract: which keys must be set before a release may
start.
"""

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
"""What dynos are given under names that are reserved."""


@dataclass(frozen=True)
class Change:
    """The new map, and the names that were set or removed."""

    values: dict[str, str]
    set: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def describes(self) -> str:
        """Heroku's words for a release made of it."""
        parts = []
        if self.set:
            parts.append(f"Set {', '.join(self.set)} config vars")
        if self.removed:
            parts.append(f"Remove {', '.join(self.removed)} config vars")
        return "; ".join(parts)


def problem(key: str, value: object) -> str:
    """Why this pair cannot be a config var; empty if it can. None as a value means: remove."""
    if not CONFIG_KEY.match(key) or len(key) > 256:
        return f"Config var {key[:80]!r} is not allowed: letters, digits and underscores, not starting with a digit."
    if reserved(key):
        return (
            f"Config var {key} is reserved: the platform sets names that begin with HEROKU_, GREENROOM_ or __, and PORT"
            " and DYNO, for each dyno."
        )
    if value is not None and not isinstance(value, str):
        return f"The value of {key} must be a string or null."
    if isinstance(value, str) and "\0" in value:
        return f"The value of {key} contains a NUL character, which no environment can hold."
    if isinstance(value, str) and SURROGATE.search(value):
        return f"The value of {key} contains half of a surrogate pair (\\ud800 to \\udfff), which is no character."
    return ""


def given(key: str) -> bool:
    """Whether the platform sets this reserved name for dynos."""
    return key in GIVEN or key in RESERVED


def reserved(key: str) -> bool:
    """Whether the platform alone sets it."""
    return key.startswith(("HEROKU_", "GREENROOM_", "__")) or key in RESERVED


def remedy(key: str) -> str:
    """What to do instead of setting the key; empty when there is nothing to say."""
    if key == "PORT":
        return (
            "listen on $PORT, which each web dyno has: in the Procfile `web: gunicorn proj.wsgi --bind 0.0.0.0:$PORT`"
        )
    if key in GIVEN:
        return f"{key} is there already: read it in the dyno; greenroom run printenv shows it"
    if reserved(key):
        shorter = key.removeprefix("HEROKU_").removeprefix("GREENROOM_").lstrip("_") or "VALUE"
        return f"use a name of your own, for example APP_{shorter}, and read that in your settings"
    return "for example SECRET_KEY" if not CONFIG_KEY.match(key) else ""


def apply(current: dict[str, str], updates: dict[str, str | None]) -> Change:
    """The map after the updates; what does not change anything is left out of the names."""
    values = dict(current)
    removed = tuple(sorted(key for key, value in updates.items() if value is None and key in current))
    fresh = {key: value for key, value in updates.items() if value is not None and current.get(key) != value}
    for key in removed:
        del values[key]
    values.update(fresh)
    return Change(values=values, set=tuple(sorted(fresh)), removed=removed)


def too_large(values: Mapping[str, str]) -> str:
    """Why a whole map is over the limits of 1,000 names and 64 KB, names included; empty if it is not."""
    size = sum(len(key.encode()) + len(value.encode()) for key, value in values.items())
    if len(values) > MAX_NAMES:
        return f"There would be {len(values)} config vars; {MAX_NAMES} are allowed."
    if size > MAX_BYTES:
        largest = max(values, key=lambda key: len(values[key]))
        return (
            f"The config vars would have {size} bytes in all; {MAX_BYTES} (64 KB) are allowed, names included. "
            f"The largest is {largest} with {len(values[largest].encode())} bytes."
        )
    return ""


def missing(required: dict[str, str], names: list[str]) -> dict[str, str]:
    """The required keys that are not set, each with the reason why it is required. Reserved ones never are: nobody but
    the platform sets them.
    """
    return {key: why for key, why in sorted(required.items()) if key not in names and not reserved(key)}


def first_values(env: dict[str, object], ever_set: set[str], secret: Callable[[], str]) -> dict[str, str | None]:
    """What app.json's ``env`` gives to keys that nobody has ever set or removed: its ``value``, or a random one by
    ``generator: secret``.

    Reserved names get none: the platform sets them, as Heroku does whatever app.json says.
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
    """The text and the remedy for a release that is refused since keys are missing. remedies: the command for each key
    that an add-on gives.
    """
    names = ", ".join(gaps)
    lines = [f"required config var{'s' if len(gaps) > 1 else ''} not set: {names}."]
    lines += [f"{key}: {why}" for key, why in gaps.items()]
    settable = [key for key in gaps if key not in remedies]
    hints = [remedies[key] for key in gaps if key in remedies]
    if settable:
        hints.append(f"greenroom config:set {' '.join(f'{key}=...' for key in settable)} -a {app}")
    return "\n".join(lines), " && ".join(hints)
