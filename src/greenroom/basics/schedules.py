"""Schedules: cron lines and Heroku Scheduler's words, in a time zone; their moments, and a description.

The finest grid is a minute. CronSim evaluates cron lines as Debian's cron does: when the clocks change, a fixed time
occurs once, and a schedule with ``*`` as its minute or hour follows the real time.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

LONGEST = 100
MOST = 1000
"""Maximum number of moments that are counted."""
NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "hourly": "0 * * * *",
    "daily": "0 0 * * *",
    "every minute": "* * * * *",
    "every hour": "0 * * * *",
    "every day": "0 0 * * *",
}
MINUTES = re.compile(r"every (\d{1,2}) minutes?\Z")
HOURLY = re.compile(r"(?:hourly|every hour) at :(\d\d)\Z")
DAILY = re.compile(r"(?:daily|every day) at (\d{1,2}):(\d\d)\Z")
CRON = re.compile(r"[0-9A-Za-z*,/#-]+( [0-9A-Za-z*,/#-]+){4}\Z")
ALLOWED = (
    "allowed are five cron fields such as `0 3 * * *` (minute, hour, day of the month, month, day of the week),"
    " @hourly, @daily, @weekly, @monthly, `every 10 minutes`, `hourly at :30` and `daily at 03:30`"
)
ZONE = re.compile(r"(?:UTC|GMT|[A-Z][A-Za-z0-9_+-]{1,30}(/[A-Za-z0-9_+-]{1,30}){1,2})\Z")


def cron(text: str) -> str:
    """The cron line of a schedule. ValueError, with the reason and the allowed forms, for an invalid one."""
    plain = " ".join(text.split())
    if len(plain) > LONGEST:
        raise ValueError(f"it has more than {LONGEST} characters; {ALLOWED}")
    line = _of_words(plain.lower()) or plain
    if not CRON.match(line):
        raise ValueError(f"{plain!r} is not a schedule; {ALLOWED}")
    try:
        next(CronSim(line, datetime(2000, 1, 1)))
    except CronSimError as error:
        raise ValueError(f"{plain!r} is not a cron line ({str(error).lower()}); {ALLOWED}") from error
    except StopIteration as error:
        raise ValueError(f"{plain!r} never occurs") from error
    return line


def _of_words(text: str) -> str:
    """The cron line of Heroku Scheduler's words; empty for other texts. ValueError for a number out of range."""
    if text in NAMED:
        return NAMED[text]
    if found := MINUTES.match(text):
        count = int(found[1])
        if not count or 60 % count:
            raise ValueError(
                f"{text!r} does not divide an hour: use every 1, 2, 3, 4, 5, 6, 10, 12, 15, 20 or 30 minutes"
            )
        return f"*/{count} * * * *" if count < 60 else "0 * * * *"
    if found := HOURLY.match(text):
        return f"{int(found[1])} * * * *"
    if found := DAILY.match(text):
        return f"{int(found[2])} {int(found[1])} * * *"
    return ""


def zone(name: str) -> ZoneInfo:
    """The time zone. ValueError for an unknown name."""
    try:
        if not ZONE.match(name):
            raise ValueError(name)
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(
            f"{name[:60]!r} is not a time zone; allowed are names such as Europe/Berlin, and UTC"
        ) from error


def after(schedule: str, time_zone: str, moment: datetime) -> datetime | None:
    """The first planned moment after ``moment``, in UTC; None if there is none in 50 years. ValueError."""
    found = between(schedule, time_zone, moment, None, most=1)
    return found[0] if found else None


def between(
    schedule: str, time_zone: str, start: datetime, end: datetime | None, *, most: int = MOST
) -> list[datetime]:
    """The planned moments after ``start`` and up to ``end``, in UTC, at most ``most``. ValueError."""
    ticks = CronSim(cron(schedule), start.astimezone(zone(time_zone)))
    found: list[datetime] = []
    for tick in ticks:
        moment = tick.astimezone(UTC)
        if moment <= (found[-1] if found else start):  # the first of two equal local times, where clocks go back
            continue
        if end is not None and moment > end:
            break
        found.append(moment)
        if len(found) == most:
            break
    return found


def interval(schedule: str, time_zone: str, moment: datetime) -> timedelta | None:
    """The time from a planned moment to the next one; None if there is no next one. ValueError."""
    following = after(schedule, time_zone, moment)
    return following - moment if following else None


def words(schedule: str) -> str:
    """An English description: ``At 03:00 every day``. ValueError."""
    return CronSim(cron(schedule), datetime(2000, 1, 1)).explain()
