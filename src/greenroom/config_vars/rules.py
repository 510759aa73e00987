"""What config vars may be called and hold, and the environment contract: which keys must be set before a release may start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from greenroom.basics.ids import CONFIG_KEY

MAX_BYTES = 64 * 1024
RESERVED = frozenset({"PORT", "DYNO"})


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
    if key.startswith(("HEROKU_", "GREENROOM_", "__")) or key in RESERVED:
        return f"Config var {key} is reserved for the platform."
    if value is not None and not isinstance(value, str):
        return f"The value of {key} must be a string or null."
    if isinstance(value, str) and "\0" in value:
        return f"The value of {key} contains a NUL character, which no environment can hold."
    return ""


def apply(current: dict[str, str], updates: dict[str, str | None]) -> Change:
    """The map after the updates; what does not change anything is left out of the names."""
    values = dict(current)
    removed = tuple(sorted(key for key, value in updates.items() if value is None and key in current))
    fresh = {key: value for key, value in updates.items() if value is not None and current.get(key) != value}
    for key in removed:
        del values[key]
    values.update(fresh)
    return Change(values=values, set=tuple(sorted(fresh)), removed=removed)


def too_large(values: dict[str, str]) -> bool:
    """Whether the whole map is over the limit of 64 KB."""
    return sum(len(key.encode()) + len(value.encode()) for key, value in values.items()) > MAX_BYTES


def missing(required: dict[str, str], names: list[str]) -> dict[str, str]:
    """The required keys that are not set, each with the reason why it is required."""
    return {key: why for key, why in sorted(required.items()) if key not in names}


def first_values(env: dict[str, object], ever_set: set[str], secret: Callable[[], str]) -> dict[str, str | None]:
    """What app.json's ``env`` gives to keys that nobody has ever set or removed: its ``value``, or a random one by ``generator: secret``."""
    found: dict[str, str | None] = {}
    for key, entry in env.items():
        if key in ever_set:
            continue
        if isinstance(entry, str):
            found[key] = entry
        elif isinstance(entry, dict) and isinstance(entry.get("value"), str):
            found[key] = entry["value"]
        elif isinstance(entry, dict) and entry.get("generator") == "secret":
            found[key] = secret()
    return found


def refusal(app: str, gaps: dict[str, str]) -> tuple[str, str]:
    """The text and the remedy for a release that is refused since keys are missing."""
    names = ", ".join(gaps)
    lines = [f"required config var{'s' if len(gaps) > 1 else ''} not set: {names}."]
    lines += [f"{key}: {why}" for key, why in gaps.items()]
    settable = [key for key in gaps if key != "DATABASE_URL"]
    hint = ""
    if "DATABASE_URL" in gaps:
        hint = f"heroku addons:create heroku-postgresql -a {app}"
    if settable:
        hint = f"greenroom config:set {' '.join(f'{key}=...' for key in settable)} -a {app}"
    return "\n".join(lines), hint
