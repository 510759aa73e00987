"""The API of what an installation offers: dyno sizes, and each of the stacks, regions, plans and process types alone."""

from __future__ import annotations

from typing import Any

from greenroom.basics.errors import NotFoundError


def _one(rows: list[dict[str, Any]], wanted: str, resource: str, field: str = "name") -> dict[str, Any]:
    """The row of that name or id; case does not count."""
    found = next((row for row in rows if wanted.casefold() in (str(row[field]).casefold(), row["id"])), None)
    if found is None:
        names = ", ".join(str(row[field]) for row in rows)
        raise NotFoundError(f"Couldn't find that {resource.replace('_', ' ')}.", hint=f"there is: {names}" if names else "", resource=resource)
    return found
