"""The gate: decides from the check runs of a commit whether it may be deployed, and gives the reasons as text.

Also defines the legal status changes of a check run. Others collect the reports and act on the verdict.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

Colour = Literal["green", "pending", "red", "blocked"]

BUILTIN = ("tests", "scan")
"""Checks that Greenroom runs; they cannot be reported from outside."""

STATUSES = ("queued", "in_progress", "completed")
CONCLUSIONS = (
    "success",
    "failure",
    "error",
    "cancelled",
    "timed_out",
    "skipped",
    "neutral",
    "stale",
    "action_required",
)
RED = frozenset({"failure", "error", "timed_out", "action_required"})
BLOCKED = frozenset({"cancelled", "stale"})
LENIENT = frozenset({"skipped", "neutral"})
UNSTARTED_ENDS = frozenset({"cancelled", "skipped", "stale"})
"""Conclusions allowed for a run that never started."""

STALE_AFTER = timedelta(hours=2)
STALE_AT_LEAST = timedelta(minutes=5)
MIN_REASON = 10
"""Minimum length of an override's reason, in characters."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One attempt of one check. brief: the result without the check's name; notes: remarks on a success.

    reporter: the id of the token that reported it; empty for Greenroom and for password sign-ins.
    """

    name: str
    attempt: int = 1
    status: str = "queued"
    conclusion: str = ""
    brief: str = ""
    notes: tuple[str, ...] = ()
    reporter: str = ""


@dataclass(frozen=True, kw_only=True)
class Override:
    """A user's override of the named checks. attempts: the newest attempt of each check at that time, 0 for none."""

    checks: tuple[str, ...]
    attempts: Mapping[str, int] = field(default_factory=dict)
    reason: str = ""
    actor: str = ""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The input of a verdict on one commit. runs may contain several attempts of a check; the highest counts.

    pins: ``key`` of a check -> the only token whose reports count. silent: keys of required checks without any report
    in time.
    """

    sha: str
    required: tuple[str, ...]
    runs: tuple[Run, ...] = ()
    overrides: tuple[Override, ...] = ()
    allow_neutral: bool = False
    pins: Mapping[str, str] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The verdict: a colour, the reasons as sentences, and the required checks that passed only by an override."""

    colour: Colour
    reasons: tuple[str, ...]
    overridden: tuple[str, ...] = ()


def key(name: str) -> str:
    """The normalised check name. Names are case-insensitive, like the contexts of commit statuses."""
    return name.strip().casefold()


REHEARSAL = "rehearsal"
"""The check run of a rehearsal. It starts after the release is created, so it gates the switch, not the release."""


def required_names(configured: Iterable[str]) -> tuple[str, ...]:
    """The built-in and the configured checks, without duplicates. Empty if none is configured; the gate then blocks."""
    wanted = [name.strip() for name in configured if name.strip()]
    unique: dict[str, str] = {}
    for name in [*BUILTIN, *wanted] if wanted else []:
        unique.setdefault(key(name), name)
    return tuple(unique.values())


def latest(runs: Iterable[Run]) -> dict[str, Run]:
    """The newest attempt of each check, by ``key`` of its name."""
    newest: dict[str, Run] = {}
    for run in runs:
        known = newest.get(key(run.name))
        if known is None or run.attempt > known.attempt:
            newest[key(run.name)] = run
    return newest


def holds(override: Override, newest: Mapping[str, Run]) -> bool:
    """Whether the override is valid: no check has a newer attempt than the override recorded."""
    seen = {key(name): attempt for name, attempt in override.attempts.items()}
    return all(newest[name].attempt <= attempt for name, attempt in seen.items() if name in newest)


def state_of(run: Run | None, *, allow_neutral: bool = False) -> Colour:
    """The colour of one required check: green, pending (also without a report), red or blocked."""
    if run is None or run.status != "completed":
        return "pending"
    if run.conclusion == "success" or (allow_neutral and run.conclusion in LENIENT):
        return "green"
    if run.conclusion in BLOCKED or run.conclusion in LENIENT:
        return "blocked"
    return "red"


def verdict(facts: Facts) -> Decision:
    """Whether the commit may be deployed. Green only if each required check succeeded or a valid override names it."""
    required = tuple({key(name): name for name in facts.required}.values())
    if not required:
        return Decision(colour="blocked", reasons=("No required checks are configured.",))
    newest = latest(facts.runs)
    leave = {key(name): override for override in facts.overrides if holds(override, newest) for name in override.checks}
    colours: list[Colour] = []
    reasons: list[str] = []
    overridden: list[str] = []
    for name in required:
        run = newest.get(key(name))
        strange = run is not None and _by_a_stranger(run, facts.pins)
        late = run is None and key(name) in facts.silent
        colour: Colour = "blocked" if strange or late else state_of(run, allow_neutral=facts.allow_neutral)
        if colour != "green" and key(name) in leave:
            overridden.append(name)
            reasons.append(_overridden(name, run, leave[key(name)]))
            continue
        colours.append(colour)
        if strange:
            reasons.append(f"`{name}` was not reported by the token that it is pinned to.")
        elif late:
            reasons.append(f"`{name}` is stale: its provider did not report in time.")
        else:
            reasons += _notes(name, run) if colour == "green" else [sentence(name, run)]
    colour = _worst(colours)
    if colour == "green":
        passed = [name for name in required if name not in overridden]
        reasons = [*_passed(passed), *reasons]
    return Decision(colour=colour, reasons=tuple(reasons), overridden=tuple(overridden))


def _by_a_stranger(run: Run, pins: Mapping[str, str]) -> bool:
    """Whether another token than the pinned one reported the check. Queued attempts have no reporter yet."""
    return key(run.name) in pins and run.status != "queued" and run.reporter != pins[key(run.name)]


def _worst(colours: list[Colour]) -> Colour:
    order: tuple[Colour, ...] = ("red", "blocked", "pending")
    return next((colour for colour in order if colour in colours), "green")


def _passed(names: list[str]) -> list[str]:
    if not names:
        return []
    quoted = ", ".join(f"`{name}`" for name in names)
    return [f"{quoted} passed."]


def _notes(name: str, run: Run | None) -> list[str]:
    return [f"`{name}`: {note}" for note in run.notes] if run else []


def _overridden(name: str, run: Run | None, override: Override) -> str:
    was = sentence(name, run).rstrip(".")
    return f"`{name}` was overridden by {override.actor}: {override.reason} ({was})"


SENTENCES = {
    "failure": "`{name}` failed{brief}",
    "error": "`{name}` could not be completed and does not count as passed{brief}",
    "timed_out": "`{name}` took too long{brief}",
    "action_required": "`{name}` requires action{brief}",
    "cancelled": "`{name}` was cancelled{brief}",
    "stale": "`{name}` is stale{brief}",
    "skipped": "`{name}` was skipped, which does not count as passed{brief}",
    "neutral": "`{name}` ended neutral, which does not count as passed{brief}",
    "success": "`{name}` passed{brief}",
}


def sentence(name: str, run: Run | None) -> str:
    """One sentence about a check: ``\\`tests\\` failed: 2 of 214, first: payroll.tests.Test.test_x``."""
    if run is None:
        return f"`{name}` is expected: no report yet."
    if run.status == "queued":
        return f"`{name}` is waiting to run."
    if run.status != "completed":
        return f"`{name}` is running."
    form = SENTENCES.get(run.conclusion, "`{name}` ended with an unknown conclusion{brief}")
    return form.format(name=name, brief=f": {run.brief}" if run.brief else "")


def withheld(decision: Decision, *, serving: str = "") -> str:
    """The text for the push output: ``withheld: `tests` failed: 2 of 214, first: ...; v12 keeps running``.

    serving: the current release, such as ``v12``; empty if there is none.
    """
    keeps = f"{serving} keeps running" if serving else "nothing is deployed yet"
    words = "waiting" if decision.colour == "pending" else "withheld"
    why = " ".join(reason if reason.endswith((".", ")", "!", "?")) else f"{reason}." for reason in decision.reasons)
    return f"{words}: {why.rstrip('.')}; {keeps}"


def remedies(runs: Iterable[Run], *, required: Iterable[str], app: str, sha: str, first: bool = False) -> list[str]:
    """Hints for each unsuccessful required check: read its output, and rerun it unless the code caused the failure.

    first: nothing of the app is live, so its state may be older than the gate: tells how to deploy it all the same.
    """
    names = {key(name) for name in required}
    newest = [
        run
        for name, run in latest(runs).items()
        if name in names and run.status == "completed" and run.conclusion != "success"
    ]
    told = []
    for run in newest:
        told.append(f"full output of `{run.name}`: greenroom checks:info {shlex.quote(run.name)} {sha[:8]} -a {app}")
        if run.conclusion not in ("failure", "action_required"):
            told.append(
                f"rerun `{run.name}` on the same commit: greenroom checks:rerun {shlex.quote(run.name)} --sha"
                f" {sha[:8]} -a {app}"
            )
    if first and newest:
        options = " ".join(f"--check {shlex.quote(run.name)}" for run in newest)
        told.append(
            f"deploy the first version all the same: greenroom deploy:override {sha[:8]} {options} --reason"
            f' "{MIN_REASON} characters or more" -a {app}'
        )
    return told


def move_problem(*, status: str, to_status: str, to_conclusion: str = "") -> str:
    """Why a status change is illegal; empty if it is legal. ``completed`` is final for an attempt."""
    if to_status not in STATUSES:
        return f"status {to_status!r} does not exist; statuses are {', '.join(STATUSES)}"
    if (to_status == "completed") != bool(to_conclusion):
        return "the status completed requires a conclusion, and no other status allows one"
    if to_conclusion and to_conclusion not in CONCLUSIONS:
        return f"conclusion {to_conclusion!r} does not exist; conclusions are {', '.join(CONCLUSIONS)}"
    if status == "completed":
        return "the attempt is completed; a re-run starts a new one"
    if status == "queued" and to_status == "completed" and to_conclusion not in UNSTARTED_ENDS:
        return f"a run that has not started cannot end as {to_conclusion}"
    if status == "in_progress" and to_status == "queued":
        return "a run in progress cannot return to queued"
    return ""


def is_stale(*, status: str, updated_at: datetime, now: datetime, after: timedelta = STALE_AFTER) -> bool:
    """Whether a run that is not completed had no update for longer than ``after``."""
    return status != "completed" and now - updated_at > after


MIN_IGNORE, MAX_IGNORE = timedelta(minutes=1), timedelta(days=366)


@dataclass(frozen=True, kw_only=True)
class Ignore:
    """A user's decision to ignore one finding, identified by its fingerprint, until a given time."""

    fingerprint: str
    reason: str
    actor: str
    until: datetime


def with_ignores(finding: Mapping[str, Any], ignores: Iterable[Ignore], now: datetime) -> dict[str, Any]:
    """The finding after applying ignores: a new one becomes ``ignored``; one with an expired ignore becomes ``new``."""
    own = next((item for item in ignores if item.fingerprint == finding.get("fingerprint")), None)
    if own is None or finding.get("state") == "suppressed":
        return dict(finding)
    day = f"{own.until:%Y-%m-%d %H:%M} UTC"
    if own.until <= now:
        return {
            **finding,
            "state": "new",
            "message": f"{finding.get('message')} (ignore by {own.actor} expired {day})",
        }
    if finding.get("state", "new") != "new":
        return dict(finding)
    return {**finding, "state": "ignored", "justification": f"by {own.actor} until {day}: {own.reason}"}


def ignore_problem(*, reason: str, until: datetime, now: datetime) -> str:
    """Why this ignore is invalid; empty if it is valid."""
    if len(reason.strip()) < MIN_REASON:
        return f"the reason must have at least {MIN_REASON} characters"
    if not MIN_IGNORE <= until - now <= MAX_IGNORE:
        return "its end must be in the future and within one year"
    return ""


def override_problem(*, checks: Iterable[str], known: Iterable[str], reason: str) -> str:
    """Why this override is invalid; empty if it is valid. known: the required and the reported checks."""
    names = list(checks)
    unknown = sorted(name for name in names if key(name) not in {key(other) for other in known})
    if not names:
        return "name at least one check"
    if unknown:
        return f"no such check: {', '.join(unknown)}; checks of this commit are {', '.join(sorted(known))}"
    if len(reason.strip()) < MIN_REASON:
        return f"the reason must have at least {MIN_REASON} characters"
    return ""
