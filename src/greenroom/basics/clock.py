"""The only module that reads the time, so that rules stay pure and tests can control it."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Monotonic seconds, for deadlines."""
    return time.monotonic()


def iso(moment: datetime) -> str:
    """``2026-11-23T09:11:00.123456+00:00``: the form of log lines and of the API."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def heroku_time(moment: datetime | None) -> str | None:
    """``2026-11-23T09:11:00Z``: the form of Heroku's API fields; None stays None."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None
