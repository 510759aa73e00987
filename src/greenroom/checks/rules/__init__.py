"""The gate: decides from the reports about a commit whether it may be deployed, and says why in words for the pusher.

Also which moves a check run may make. Where the reports come from and what a verdict leads to is left to others.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

Colour = Literal["green", "pending", "red", "blocked"]

BUILTIN = ("tests", "scan")
"""Checks that Greenroom runs itself; nobody else may report them."""

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
"""How a run may end that never began."""

STALE_AFTER = timedelta(hours=2)
STALE_AT_LEAST = timedelta(minutes=5)
MIN_REASON = 10
"""Characters that the reason of an override must have."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One attempt of one check. brief: what happened, without the check's name; notes: what to mention although it
    passed.

    reporter: the id of the token that reported it, empty for Greenroom itself and for passwords.
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
    """A person's leave for the named checks. attempts: the newest attempt that it saw of each check, 0 for none."""

    checks: tuple[str, ...]
    attempts: Mapping[str, int] = field(default_factory=dict)
    reason: str = ""
    actor: str = ""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that the gate looks at for one commit. runs may hold several attempts of a name; the highest counts.

    pins: ``key`` of a check -> the only token whose reports count for it. silent: keys of required checks whose
    provider is too late.
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
    """The answer: a colour, sentences for people, and the required checks that only an override let through."""

    colour: Colour
    reasons: tuple[str, ...]
    overridden: tuple[str, ...] = ()


def key(name: str) -> str:
    """What makes two check names the same: as with commit statuses, their case does not count."""
    return name.strip().casefold()


REHEARSAL = "rehearsal"
"""The check run that shows a rehearsal. It comes when the release is there: what requires it waits before the switch,
not at the gate.
"""


def required_names(configured: Iterable[str]) -> tuple[str, ...]:
    """The builtin checks and the configured ones, each once. Nothing configured stays nothing: the gate then
    refuses.
    """
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
    """Whether no check that the override saw has been attempted anew since."""
    seen = {key(name): attempt for name, attempt in override.attempts.items()}
    return all(newest[name].attempt <= attempt for name, attempt in seen.items() if name in newest)


def state_of(run: Run | None, *, allow_neutral: bool = False) -> Colour:
    """What one required check is to the gate: green, pending (also when nothing was reported), red or blocked."""
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
        return Decision(colour="blocked", reasons=("No check is required, so there is nothing to be green.",))
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
            reasons.append(f"`{name}` is stale: its provider is silent, nothing was reported in time.")
        else:
            reasons += _notes(name, run) if colour == "green" else [sentence(name, run)]
    colour = _worst(colours)
    if colour == "green":
        passed = [name for name in required if name not in overridden]
        reasons = [*_passed(passed), *reasons]
    return Decision(colour=colour, reasons=tuple(reasons), overridden=tuple(overridden))


def _by_a_stranger(run: Run, pins: Mapping[str, str]) -> bool:
    """Whether the check is pinned to another token; a queued attempt that nobody reported yet is nobody's."""
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
    "error": "`{name}` could not be completed, so it proves nothing{brief}",
    "timed_out": "`{name}` took too long{brief}",
    "action_required": "`{name}` waits for somebody to act{brief}",
    "cancelled": "`{name}` was cancelled{brief}",
    "stale": "`{name}` has not reported in time and is stale{brief}",
    "skipped": "`{name}` was skipped, which does not count as passed{brief}",
    "neutral": "`{name}` ended neutral, which does not count as passed{brief}",
    "success": "`{name}` passed{brief}",
}


def sentence(name: str, run: Run | None) -> str:
    """One sentence on a check: ``\\`tests\\` failed: 2 of 214, first: payroll.tests.Test.test_x``."""
    if run is None:
        return f"`{name}` is expected: nothing has been reported for it yet."
    if run.status == "queued":
        return f"`{name}` is waiting to run."
    if run.status != "completed":
        return f"`{name}` is running."
    form = SENTENCES.get(run.conclusion, "`{name}` ended with an unknown conclusion{brief}")
    return form.format(name=name, brief=f": {run.brief}" if run.brief else "")


def withheld(decision: Decision, *, serving: str = "") -> str:
    """The paragraph for the pusher: ``withheld: `tests` failed: 2 of 214, first: ...; v12 keeps running``.

    serving: what answers now, ``v12``; empty when nothing has been released.
    """
    keeps = f"{serving} keeps running" if serving else "nothing is deployed yet"
    words = "waiting" if decision.colour == "pending" else "withheld"
    why = " ".join(reason if reason.endswith((".", ")", "!", "?")) else f"{reason}." for reason in decision.reasons)
    return f"{words}: {why.rstrip('.')}; {keeps}"


def remedies(runs: Iterable[Run], *, required: Iterable[str], app: str, sha: str) -> list[str]:
    """For each required check that has not succeeded what to do next: read it all, and try it again where it says
    nothing of the code.
    """
    names = {key(name) for name in required}
    newest = [
        run
        for name, run in latest(runs).items()
        if name in names and run.status == "completed" and run.conclusion != "success"
    ]
    told = []
    for run in newest:
        told.append(f"all that `{run.name}` said: greenroom checks:info {shlex.quote(run.name)} {sha[:8]} -a {app}")
        if run.conclusion not in ("failure", "action_required"):
            told.append(
                f"try `{run.name}` again on the same code: greenroom checks:rerun {shlex.quote(run.name)} --sha"
                f" {sha[:8]} -a {app}"
            )
    return told


def move_problem(*, status: str, to_status: str, to_conclusion: str = "") -> str:
    """Why a run may not go from ``status`` to the other; empty if it may. Completed is the end of an attempt."""
    if to_status not in STATUSES:
        return f"status {to_status!r} does not exist; statuses are {', '.join(STATUSES)}"
    if (to_status == "completed") != bool(to_conclusion):
        return "a conclusion belongs to the status completed, and only to it"
    if to_conclusion and to_conclusion not in CONCLUSIONS:
        return f"conclusion {to_conclusion!r} does not exist; conclusions are {', '.join(CONCLUSIONS)}"
    if status == "completed":
        return "the attempt is completed; a re-run makes a new one"
    if status == "queued" and to_status == "completed" and to_conclusion not in UNSTARTED_ENDS:
        return f"a run that never began cannot end as {to_conclusion}"
    if status == "in_progress" and to_status == "queued":
        return "a run that has begun cannot wait again"
    return ""


def is_stale(*, status: str, updated_at: datetime, now: datetime, after: timedelta = STALE_AFTER) -> bool:
    """Whether a run that is not completed has been silent for longer than ``after``."""
    return status != "completed" and now - updated_at > after


MIN_IGNORE, MAX_IGNORE = timedelta(minutes=1), timedelta(days=366)


@dataclass(frozen=True, kw_only=True)
class Ignore:
    """A person's leave for one finding, known by its fingerprint, until a moment."""

    fingerprint: str
    reason: str
    actor: str
    until: datetime


def with_ignores(finding: Mapping[str, Any], ignores: Iterable[Ignore], now: datetime) -> dict[str, Any]:
    """The finding as ignores leave it: ``ignored`` if it was new and one holds; ``new`` again, whatever it was, when
    its ignore has run out.
    """
    own = next((item for item in ignores if item.fingerprint == finding.get("fingerprint")), None)
    if own is None or finding.get("state") == "suppressed":
        return dict(finding)
    day = f"{own.until:%Y-%m-%d %H:%M} UTC"
    if own.until <= now:
        return {
            **finding,
            "state": "new",
            "message": f"{finding.get('message')} (its ignore by {own.actor} ended {day})",
        }
    if finding.get("state", "new") != "new":
        return dict(finding)
    return {**finding, "state": "ignored", "justification": f"by {own.actor} until {day}: {own.reason}"}


def ignore_problem(*, reason: str, until: datetime, now: datetime) -> str:
    """Why this ignore is refused; empty if it is not."""
    if len(reason.strip()) < MIN_REASON:
        return f"the reason must have {MIN_REASON} characters or more; it is read by others later"
    if not MIN_IGNORE <= until - now <= MAX_IGNORE:
        return "its end must lie in the future, and within a year"
    return ""


def override_problem(*, checks: Iterable[str], known: Iterable[str], reason: str) -> str:
    """Why this override is refused; empty if it is not. known: the required checks and the reported ones."""
    names = list(checks)
    unknown = sorted(name for name in names if key(name) not in {key(other) for other in known})
    if not names:
        return "an override names the checks that it lets pass"
    if unknown:
        return f"no such check: {', '.join(unknown)}; checks of this commit are {', '.join(sorted(known))}"
    if len(reason.strip()) < MIN_REASON:
        return f"the reason must have {MIN_REASON} characters or more; it is read by others later"
    return ""
