"""Which snapshots may go, and when a scheduled one is due. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

KEEP = {"manual": 20, "scheduled": 7, "before_migrate": 5, "before_restore": 5}
"""How many finished snapshots of each kind a database keeps, newest first. Pinned ones are kept besides."""
FAILED_DAYS = 7
KINDS = tuple(KEEP)
ZONES = {
    "PST": "America/Los_Angeles", "PDT": "America/Los_Angeles", "MST": "America/Boise", "MDT": "America/Boise",
    "CST": "America/Chicago", "CDT": "America/Chicago", "EST": "America/New_York", "EDT": "America/New_York",
    "Z": "UTC", "GMT": "Europe/London", "BST": "Europe/London", "CET": "Europe/Paris", "CEST": "Europe/Paris",
}  # fmt: skip
"""Short names of time zones that Heroku's CLI accepts."""


@dataclass(frozen=True)
class Held:
    """A snapshot as retention sees it. used: an open restore needs it."""

    key: str
    kind: str
    state: str
    pinned: bool
    used: bool
    at: datetime


def expired(rows: list[Held], now: datetime) -> list[str]:
    """Keys of the snapshots that may be removed: beyond KEEP of their kind, or failed a week ago. Never a pinned or a used one."""
    gone = []
    seen = dict.fromkeys(KEEP, 0)
    for row in sorted(rows, key=lambda row: row.at, reverse=True):
        if row.pinned or row.used or row.kind not in KEEP:
            continue
        if row.state == "succeeded":
            seen[row.kind] += 1
            if seen[row.kind] > KEEP[row.kind]:
                gone.append(row.key)
        elif row.state == "failed" and now - row.at > timedelta(days=FAILED_DAYS):
            gone.append(row.key)
    return gone


def zone(name: str) -> ZoneInfo | None:
    """The time zone of that name or Heroku abbreviation; None when there is none."""
    try:
        return ZoneInfo(ZONES.get(name.upper(), name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def due(*, hour: int, timezone: str, last_day: date | None, now: datetime) -> date | None:
    """The day there for which a snapshot should be made now; None when it is made, or its hour has not come."""
    place = zone(timezone)
    there = now.astimezone(place) if place else now
    day = there.date()
    return day if there.hour >= hour and (last_day is None or last_day < day) else None
