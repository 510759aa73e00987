"""Names of attachments: which are allowed, and which a database gets that nobody named."""

from __future__ import annotations

import re

NAME = re.compile(r"[A-Z][A-Z0-9_]{0,54}\Z")
ADDON_NAME = re.compile(r"[a-z][a-z0-9-]{1,78}[a-z0-9]\Z")
COLOURS = (
    "AMBER", "AQUA", "BLACK", "BLUE", "BRONZE", "BROWN", "CHARCOAL", "COBALT", "COPPER", "CRIMSON", "CYAN", "GOLD", "GRAY", "GREEN",
    "IVORY", "JADE", "MAROON", "MAUVE", "NAVY", "OLIVE", "ONYX", "ORANGE", "PINK", "PUCE", "PURPLE", "RED", "ROSE", "SILVER", "TEAL",
    "VIOLET", "WHITE", "YELLOW",
)  # fmt: skip


def attachment_name(wanted: str, taken: set[str]) -> str:
    """The name to use: ``wanted`` in capitals, without ``_URL``; DATABASE for the first; else a colour as Heroku has it. '' when it cannot be."""
    name = wanted.upper().replace("-", "_").removesuffix("_URL")
    if wanted:
        return name if NAME.match(name) else ""
    if "DATABASE" not in taken:
        return "DATABASE"
    for number in range(1, 100):
        for colour in COLOURS:
            name = f"HEROKU_POSTGRESQL_{colour}" + (f"_{number}" if number > 1 else "")
            if name not in taken:
                return name
    return ""
