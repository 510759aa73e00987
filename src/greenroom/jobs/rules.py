"""Decides what happens at a planned moment of a job, when a waiting run starts, and how long it may take. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

LATE = timedelta(minutes=10)
"""A planned moment further in the past is missed: the worker was not running."""
STALE = timedelta(hours=24)
"""A waiting run that could not start for this long is missed, unless it is to be caught up."""
AGAIN = timedelta(seconds=15)
"""How long to wait before looking again at a run that cannot start."""
START_TIME = timedelta(minutes=5)
"""Time after which a start that the engine could not carry out is given up."""
AT_ONCE, OF_AN_APP = 12, 4
"""Maximum running job dynos of the installation, and of one app."""
OF_A_JOB = 3
"""Maximum open runs of a job with overlap ``allow``."""
KEPT_RUNS = 100
KEPT = timedelta(days=30)
LINES = 20
SHORTEST, LONGEST = timedelta(minutes=10), timedelta(hours=24)

REASONS = {
    "worker": "Greenroom was not running at that time",
    "release": "the app had no live release",
    "maintenance": "the app was in maintenance mode",
    "migration": "a release was held for its migrations, or a migration was running",
    "overlap": "the previous run had not ended",
    "room": "too many other jobs were running",
    "paused": "the job was paused before the run started",
    "removed": "the job was removed before the run started",
}
"""Why a planned run did not take place -> the text for users."""


@dataclass(frozen=True)
class Moments:
    """The planned moments of a job up to now. missed: too long ago; current: the one to run, if any."""

    missed: Sequence[datetime] = ()
    current: datetime | None = None
    caught_up: bool = False


def sort(moments: Sequence[datetime], now: datetime, *, catch_up: bool) -> Moments:
    """The newest moment is current unless it is late. catch_up: then the newest late one is."""
    if not moments:
        return Moments()
    *earlier, newest = moments
    if now - newest <= LATE:
        return Moments(earlier, newest)
    return Moments(earlier, newest, caught_up=True) if catch_up else Moments(moments)


@dataclass(frozen=True)
class Facts:
    """obstacle: a key of REASONS, or empty. running, waiting: open runs of the job."""

    obstacle: str = ""
    running: int = 0
    waiting: int = 0
    overlap: str = "skip"
    catch_up: bool = False


@dataclass(frozen=True)
class Decision:
    """The state of the new run: waiting, missed or skipped, and the reason. caught_up: it runs later than planned."""

    state: str
    reason: str = ""
    caught_up: bool = field(default=False)


def decide(facts: Facts) -> Decision:
    """Decide about a planned moment. At most one run of a job waits, except with overlap ``allow``."""
    open_runs = facts.running + facts.waiting
    if facts.obstacle:
        if facts.catch_up and not facts.waiting:
            return Decision("waiting", facts.obstacle, caught_up=True)
        return Decision("missed", facts.obstacle)
    room = {"allow": open_runs < OF_A_JOB, "queue": not facts.waiting}.get(facts.overlap, not open_runs)
    return Decision("waiting") if room else Decision("skipped", "overlap")


@dataclass(frozen=True)
class Waiting:
    """A waiting run. age: since it was written; overdue: since the worker should have looked at it.

    running, of_app, of_all: running dynos of its job, its app, and all. kept: it waits as long as it takes.
    """

    obstacle: str = ""
    kept: bool = False
    age: timedelta = timedelta(0)
    overdue: timedelta = timedelta(0)
    overlap: str = "skip"
    running: int = 0
    of_app: int = 0
    of_all: int = 0


def start(run: Waiting) -> str:
    """``start``, ``wait``, or the reason for which the run is missed."""
    if run.obstacle:
        return "wait" if run.kept else run.obstacle
    if run.overdue > LATE and not run.kept:
        return "worker"
    full = run.of_app >= OF_AN_APP or run.of_all >= AT_ONCE
    busy = run.running > 0 and run.overlap != "allow"
    if not full and not busy:
        return "start"
    if run.age > STALE and not run.kept:
        return "overlap" if busy else "room"
    return "wait"


def limit(minutes: int | None, interval: timedelta | None) -> timedelta:
    """The time limit of a run: ``minutes``, else the time until the next planned moment, 10 minutes to 24 hours."""
    if minutes is not None:
        return timedelta(minutes=minutes)
    return min(LONGEST, max(SHORTEST, interval or LONGEST))


def last_lines(text: str) -> str:
    """The last lines of an output."""
    return "\n".join(text.strip().splitlines()[-LINES:])


def span(count: int) -> str:
    """``3 runs``, for a run that stands for several moments."""
    return "1 run" if count == 1 else f"{count} runs"
