"""Decides which dynos an app should have, and the next steps towards them: facts in, steps out. Uses no clock and no
engine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

SIZES: dict[str, int] = {
    "eco": 512,
    "basic": 512,
    "standard-1x": 512,
    "standard-2x": 1024,
    "performance-m": 2560,
    "performance-l": 14336,
}
"""Dyno size -> memory quota in MB, with Heroku's names."""

MAX_QUANTITY = 100
MAX_WEB = 12
"""Maximum web dynos of one app: the number of the router's slots for it. For more concurrent requests, add processes
per dyno (WEB_CONCURRENCY).
"""
LONGEST_PAUSE = 300.0
MAX_REPLACEMENTS = 2
"""How often a candidate's dyno is replaced if its shim was killed, as by a kill of the platform while it started."""
SCHEDULER = "scheduler"
"""Kind and type of the one-off dynos of jobs, as on Heroku."""
NOT_SCALABLE = frozenset({"release"})


@dataclass(frozen=True, kw_only=True)
class StartOptions:
    """How to start a dyno. extra: variables in addition to the config vars. rows, columns: the terminal's size.

    attach: it starts with its first client; tty: on a terminal; hang_up: it ends when its client leaves. seconds: time
    limit of a one-off dyno, 0 for the usual one.
    """

    extra: Mapping[str, str] = field(default_factory=dict)
    attach: bool = False
    tty: bool = False
    rows: int = 24
    columns: int = 80
    hang_up: bool = True
    seconds: float = 0.0


@dataclass(frozen=True)
class Seen:
    """One formation dyno of a release, from its row: ``state`` is wanted, starting, up, stopping or ended.

    leaving: to be replaced; it serves until its successor does.
    """

    key: str
    type: str
    ordinal: int
    state: str
    generation: int = 0
    restarts: int = 0
    healthy: bool = False
    leaving: bool = False
    crashed: bool = False
    restart_at: datetime | None = None
    detail: str = ""
    lost: bool = False

    @property
    def replaceable(self) -> bool:
        """Whether it ended with its supervisor or machine, not by itself, and has not been replaced too often."""
        return self.state == "ended" and self.lost and self.restarts < MAX_REPLACEMENTS


@dataclass(frozen=True)
class Facts:
    """The facts of one roll-out: ``stage`` is candidate, watched, live, held or retired; ``wanted`` is {type:
    quantity}.
    """

    stage: str
    wanted: Mapping[str, int]
    seen: Sequence[Seen]
    restart_seq: int
    now: datetime


@dataclass(frozen=True)
class Start:
    """Create a dyno of this type and ordinal."""

    type: str
    ordinal: int
    generation: int
    restarts: int = 0
    not_before: datetime | None = None


@dataclass(frozen=True)
class Stop:
    """Stop this dyno: no new requests, wait for open ones, TERM, then KILL after the grace."""

    key: str


@dataclass(frozen=True)
class Progress:
    """The progress of a candidate: ready, failed (with the reason), or neither yet."""

    ready: bool = False
    failure: str = ""


def quantities(formation: Mapping[str, int], process_types: Mapping[str, str]) -> dict[str, int]:
    """The quantity of each type of the Procfile, from the formation; the default is web=1 and 0 for others."""
    return {name: formation.get(name, 1 if name == "web" else 0) for name in process_types if name not in NOT_SCALABLE}


def steps(facts: Facts) -> list[Start | Stop]:
    """The next steps for one roll-out. A candidate gets only its web dynos; workers start when it is live."""
    if facts.stage in ("retired", "held"):
        return [Stop(dyno.key) for dyno in facts.seen if dyno.state not in ("ended", "stopping")]
    wanted = {t: n for t, n in facts.wanted.items() if facts.stage == "live" or t == "web"}
    result: list[Start | Stop] = []
    alive = [dyno for dyno in facts.seen if dyno.state in ("wanted", "starting", "up")]
    for name, quantity in wanted.items():
        for ordinal in range(1, quantity + 1):
            result += _one_place(
                facts, [d for d in facts.seen if (d.type, d.ordinal) == (name, ordinal)], name, ordinal
            )
    result += [Stop(d.key) for d in alive if d.ordinal > wanted.get(d.type, 0)]
    return result


def _one_place(facts: Facts, dynos: Sequence[Seen], name: str, ordinal: int) -> list[Start | Stop]:
    """The steps for one position (``web.1``): keep the newest, replace it after a crash or a restart, stop the
    others.
    """
    alive = sorted((d for d in dynos if d.state in ("wanted", "starting", "up")), key=lambda d: d.generation)
    newest = max(dynos, key=lambda d: (d.generation, d.restarts), default=None)
    if not alive:
        before = newest is not None and newest.generation < facts.restart_seq
        replaceable = facts.stage == "candidate" and newest is not None and newest.replaceable
        if facts.stage in ("candidate", "watched") and newest is not None and not before and not replaceable:
            return []
        return [_successor(facts, newest, name, ordinal, crashed=newest is not None and newest.crashed and not before)]
    current = alive[-1]
    if current.generation < facts.restart_seq or current.leaving:
        assert newest is not None
        crashed = newest.crashed and newest.generation > current.generation  # a successor was tried already
        return [_successor(facts, newest, name, ordinal, crashed=crashed)]
    ready = current.healthy if name == "web" else current.state == "up"
    return [Stop(d.key) for d in alive[:-1]] if ready else []


def _successor(facts: Facts, newest: Seen | None, name: str, ordinal: int, *, crashed: bool) -> Start:
    """The next dyno of a position. ``crashed``: it replaces a crashed dyno, so it waits for the back-off."""
    generation = max(facts.restart_seq, newest.generation + 1 if newest else 0)
    if newest is None or not crashed:
        return Start(name, ordinal, generation)
    return Start(name, ordinal, generation, newest.restarts + 1, newest.restart_at)


def progress(facts: Facts) -> Progress:
    """Whether a candidate may take the traffic: each web dyno is up and healthy. It fails if one ends before.

    Ignores dynos from before the last restart, since a held release gets new ones.
    """
    ready = True
    for ordinal in range(1, facts.wanted.get("web", 0) + 1):
        dynos = [d for d in facts.seen if (d.type, d.ordinal) == ("web", ordinal) and d.generation >= facts.restart_seq]
        newest = max(dynos, key=lambda d: d.generation, default=None)
        if newest is not None and newest.state in ("ended", "stopping") and not newest.replaceable:
            return Progress(failure=f"web.{ordinal} {newest.detail or 'ended before it answered'}")
        if newest is None or not newest.healthy:
            ready = False
    return Progress(ready=ready)


def pause_before_restart(restarts: int, jitter: float) -> timedelta:
    """The back-off after n consecutive crashes: none, then 1, 2, 4 ... 300 s, with up to 20 % jitter (0..1)."""
    if restarts <= 0:
        return timedelta(0)
    seconds = min(LONGEST_PAUSE, 2.0 ** min(restarts - 1, 10))
    return timedelta(seconds=seconds * (1 + 0.2 * jitter))


def parse_quantity(text: object, current: int, name: str = "") -> int | str:
    """Parse ``2``, ``"2"``, ``"+1"`` or ``"-1"`` as the new quantity of process type ``name``. Returns an error text if
    invalid.
    """
    match = re.fullmatch(r"([+-]?)(\d{1,4})", str(text).strip()) if not isinstance(text, bool) else None
    if match is None:
        return f"Invalid quantity {str(text)[:40]!r}: use a number, +N or -N."
    sign, digits = match.groups()
    value = int(digits) if not sign else current + int(digits) * (1 if sign == "+" else -1)
    most = MAX_WEB if name == "web" else MAX_QUANTITY
    if not 0 <= value <= most:
        return f"Invalid quantity {value}: use 0 to {most}."
    return value


def engine_id(app_number: int, version: int, name: str, unique: str) -> str:
    """``a7-v12-web.1-3f9c01ab``: globally unique, within the engine's grammar."""
    plain = re.sub(r"[^a-z0-9.]", "-", name.lower())[:40]
    return f"a{app_number}-v{version}-{plain}-{unique[:8]}"


def ending(phase: str, reason: str, exit_code: int | None, detail: str) -> str:
    """One line for users on how a dyno ended."""
    words = {
        "boot": "did not bind to $PORT within its boot time (R10)",
        "oom": "ran out of memory (R15)",
        "disk": "wrote large files while the machine's disk was full",
        "timeout": "exceeded its time limit",
        "silence": "printed nothing for too long",
        "start": f"could not be started: {detail}",
    }
    if phase == "lost":
        return "was lost: its shim was killed"
    return words.get(reason, f"exited with status {exit_code}")
