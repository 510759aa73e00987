"""The order of all steps of a delivery: facts in, next step out. The same facts always give the same step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

ENDED = frozenset({"live", "held", "refused", "failed", "superseded"})
WAITING = "received"
DROPPED = "dropped by "
"""Prefix of the reason of a release that a user has dropped. A superseded release is expired too, with another
reason.
"""


class Step(Enum):
    """The next action for a delivery."""

    NOTHING = "nothing"
    WAIT = "wait"
    SUPERSEDE = "supersede"
    BUILD = "build"
    BUILD_FAILED = "build failed"
    CHECK = "check"
    WITHHOLD = "withhold"
    RELEASE = "release"
    COMMAND = "command"
    REFUSE = "refuse"
    ROLL_OUT = "roll out"
    WATCH = "watch"
    GIVE_UP = "give up"
    REHEARSE = "rehearse"
    HOLD = "hold"
    SWITCH = "switch"
    SETTLE = "settle"
    POSTDEPLOY = "postdeploy"
    FINISH = "finish"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The input of the rules.

    newer_waiting: a newer push of the app waits.   pipe_busy: an older push is being built or checked.
    overtaken: a newer push is already live.        rewritten: the branch no longer contains this commit.
    stage_busy: another delivery of the app is rolling out or is ahead in the queue.
    replaced: a config change that has not started, while a newer release that includes its config vars waits.
    build: '' or its status.   verdict: '' or its colour.   release: '' or its status.
    stage: '' or the roll-out's state.   ready, failure: progress of a candidate or of a release on trial.   steady: the
    trial is over.
    probed: the schema radar has answered or timed out.
    pending: the release has unapplied migrations that are not also pending for the live code.
    lacking: it needs columns that existing tables do not have.
    to_rehearse: request a rehearsal.   rehearsing: one is in progress.   unfit: why the rehearsal refuses it the
    traffic.
    cause: cause of the failure: '', ``schema``, ``code`` or ``unknown``; set only while migrations are pending.
    command: release command: '' (none, or it succeeded), ``open`` or ``failed``.   postdeploy: its script has not
    ended.
    going_back: an unforced rollback.   promoted: an unforced promotion; pending then includes all migrations.
    serving: another release serves, so that waiting does no harm.
    """

    kind: str
    state: str
    newer_waiting: bool = False
    pipe_busy: bool = False
    stage_busy: bool = False
    replaced: bool = False
    overtaken: bool = False
    rewritten: bool = False
    paused: bool = False
    build: str = ""
    verdict: str = ""
    release: str = ""
    gaps: bool = False
    stage: str = ""
    ready: bool = False
    steady: bool = False
    failure: str = ""
    cause: str = ""
    probed: bool = False
    pending: bool = False
    lacking: bool = False
    to_rehearse: bool = False
    rehearsing: bool = False
    unfit: str = ""
    serving: bool = False
    going_back: bool = False
    promoted: bool = False
    command: str = ""
    postdeploy: bool = False


def next_step(facts: Facts) -> Step:
    """The next step for these facts."""
    if facts.state in ENDED:
        return Step.NOTHING
    if facts.kind == "push" and not facts.release:
        return _before_release(facts)
    return _from_release(facts)


def _before_release(facts: Facts) -> Step:
    if facts.state == WAITING:
        if facts.newer_waiting or facts.rewritten:
            return Step.SUPERSEDE
        return Step.WAIT if facts.pipe_busy else Step.BUILD
    if facts.build in ("failed", "errored", "cancelled"):
        return Step.BUILD_FAILED
    if facts.build != "succeeded":
        return Step.BUILD
    if facts.verdict in ("", "pending"):
        return Step.CHECK
    if facts.verdict != "green":
        return Step.WITHHOLD
    if facts.overtaken or facts.rewritten:
        return Step.SUPERSEDE
    if facts.paused:
        return Step.WITHHOLD
    return Step.WAIT if facts.stage_busy else Step.RELEASE


def _from_release(facts: Facts) -> Step:
    if facts.release == "expired":
        return Step.SUPERSEDE
    if facts.release in ("failed", "refused"):
        return Step.GIVE_UP
    if not facts.stage:
        if facts.replaced:
            return Step.SUPERSEDE
        if facts.gaps:
            return Step.REFUSE
        return Step.WAIT if facts.stage_busy else _before_roll_out(facts)
    if facts.stage == "live":
        return _after_switch(facts)
    if facts.stage == "watched":
        return _on_trial(facts)
    if facts.stage == "held":
        return Step.HOLD
    if facts.stage == "retired":
        return Step.GIVE_UP
    if facts.to_rehearse and facts.probed and facts.pending and facts.serving:
        return Step.REHEARSE
    if facts.failure:
        return _failed(facts)
    return _answering(facts) if facts.ready else Step.WATCH


def _on_trial(facts: Facts) -> Step:
    """On trial: it has the traffic, and the previous release stays up to take it back if this one fails."""
    if facts.failure:
        return Step.GIVE_UP
    return Step.SETTLE if facts.ready and facts.steady else Step.WATCH


def _before_roll_out(facts: Facts) -> Step:
    return {"open": Step.COMMAND, "failed": Step.GIVE_UP}.get(facts.command, Step.ROLL_OUT)


def _after_switch(facts: Facts) -> Step:
    if facts.postdeploy:
        return Step.POSTDEPLOY
    return Step.FINISH if facts.probed else Step.WATCH


def _answering(facts: Facts) -> Step:
    """A candidate that answers but would fail on the current tables does not replace a working release.

    With pending migrations it is held for them, also if their rehearsal shows that it fails without them.
    An unforced rollback to code that the database has outgrown has no migrations to wait for: it fails.
    An unforced promotion always waits for its pending migrations, since a user has just reviewed it.
    """
    if (facts.serving or facts.promoted) and not facts.probed:
        return Step.WATCH
    if facts.promoted and facts.pending:
        return Step.HOLD
    if facts.serving and facts.pending and facts.rehearsing:
        return Step.WATCH
    unfit = bool(facts.unfit) and facts.pending
    if not (facts.serving and (facts.lacking or unfit)):
        return Step.SWITCH
    if facts.pending:
        return Step.HOLD
    return Step.GIVE_UP if facts.going_back else Step.SWITCH


def _failed(facts: Facts) -> Step:
    """A candidate that does not answer is held if it has pending migrations, unless the evidence excludes them as the
    cause.

    Without other evidence it waits for the rehearsal.
    """
    if not facts.probed or (facts.pending and facts.cause == "unknown" and facts.serving and facts.rehearsing):
        return Step.WATCH
    return Step.HOLD if facts.pending and facts.cause != "code" else Step.GIVE_UP


@dataclass(frozen=True)
class Other:
    """Another open delivery of the same app, with the fields that determine the order."""

    seq: int
    kind: str
    state: str
    version: int | None = None
    stage: str = ""


def order(seq: int, kind: str, version: int | None, others: Sequence[Other]) -> tuple[bool, bool, bool]:
    """Return (newer_waiting, pipe_busy, stage_busy) of a delivery among the other open ones of its app.

    Pushes are built one at a time; the newest waiting one is next, and those in between are superseded. Releases roll
    out one at a time, in the order of their versions. A push creates its release only if no other release is in
    progress.
    """
    pushes = [o for o in others if o.kind == "push"]
    newer_waiting = any(o.seq > seq and o.state == WAITING for o in pushes)
    pipe_busy = any(o.state in ("building", "checking") for o in pushes)
    on_stage = any(o.stage in ("candidate", "watched", "live") for o in others)
    if version is None:
        stage_busy = on_stage or any(o.version is not None for o in others)
    else:
        stage_busy = on_stage or any(o.version is not None and o.version < version for o in others)
    return newer_waiting, pipe_busy, stage_busy


def replaced(version: int, others: Sequence[Other]) -> bool:
    """Whether a newer release of the app waits or is in progress: of queued config changes, the newest wins."""
    return any(o.version is not None and o.version > version for o in others)


def plural(number: int, noun: str) -> str:
    """``1 migration``, ``2 migrations``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def retry_command(app: str, sha: str) -> str:
    """The command that retries the failed steps of a commit."""
    return f"greenroom deliveries:retry {sha[:8]} -a {app}"


MIGRATE = "python manage.py migrate"
SHOWN = 5
"""Maximum number of migration names to print; the first push of an app has dozens."""


def named(names: Sequence[str]) -> str:
    """The first few names, and the number of the others."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


IN_DOUBT = "does not answer; its pending migrations may be the cause"


def held_lines(
    app: str,
    version: int,
    failure: str,
    pending: Sequence[str],
    keeps: str,
    command: str = MIGRATE,
    *,
    promoted: bool = False,
    seen: Sequence[str] = (),
    doubt: bool = False,
) -> list[str]:
    """Lines for the pusher when a release is held for its migrations. seen: the end of the dyno's output. doubt: no
    evidence that they are the cause.
    """
    verb = "is" if len(pending) == 1 else "are"
    what = (
        "is promoted, but waits for its migrations"
        if promoted
        else "is built and released, but does not work on the present schema"
    )
    lines = [
        f"-----> Held: v{version} {IN_DOUBT if doubt else what}",
        f" !     {failure}",
        *output_lines(seen),
        f" !     {plural(len(pending), 'migration')} {verb} pending: {named(pending)}",
        f" !     {keeps}",
        " !     Greenroom does not run migrations automatically. To apply them:",
        f" !       greenroom run -a {app} {command}",
        f" !     It runs in v{version}. If it succeeds, v{version} goes live automatically.",
        f" !     To drop v{version} instead: greenroom deliveries:drop -a {app}",
    ]
    if doubt:
        lines.append(
            f" !     If something else is wrong (a slow start, a busy machine): greenroom logs -a {app}, then greenroom"
            f" releases:retry -a {app}"
        )
    return lines


def output_lines(seen: Sequence[str]) -> list[str]:
    """The end of a dyno's output, formatted for the pusher's terminal."""
    return ["       The last lines of its output:", *(f"         {line}" for line in seen)] if seen else []


def settings_lines(about: Mapping[str, Any], detail: str, *, has_web: bool = True, served: bool = True) -> list[str]:
    """Lines for the pusher about settings that work but should be changed: SQLite, DEBUG, a secret key in the code, no
    web process.

    detail: the radar's sentence on SQLite with its remedy. served: the release is live.
    """
    lines = []
    if about.get("vendor") == "sqlite" and detail:
        text, _, remedy = detail.partition(" in the settings: ")
        lines += [f" !     {text}", f" !     hint: in the settings: {remedy}"]
    if about.get("debug") and served:
        lines += [
            " !     DEBUG is on: visitors can see tracebacks, code and settings.",
            ' !     hint: in the settings: DEBUG = os.environ.get("DEBUG") == "1"',
        ]
    if about.get("insecure_key") and served:
        lines += [
            " !     SECRET_KEY is in the code, with the value from startproject.",
            (
                ' !     hint: in the settings: SECRET_KEY = os.environ["SECRET_KEY"]; then greenroom config:set'
                " SECRET_KEY=$(openssl rand -hex 32)"
            ),
        ]
    if not has_web:
        line = f"web: gunicorn {about.get('wsgi') or 'NAME.wsgi'} --bind 0.0.0.0:$PORT"
        lines += [
            " !     The Procfile has no web process: nothing answers requests.",
            f" !     hint: add this line to the Procfile, commit and push: {line}",
        ]
    return lines


def astray_lines(conflicts: str, unmade: Sequence[str]) -> list[str]:
    """Further lines for the pusher about migrations: conflicting leaf nodes, and model changes without a migration."""
    lines = [f" !     Migrations conflict and cannot run until they are merged: {conflicts}"] if conflicts else []
    return [*lines, *([f" !     Model changes without a migration: {named(unmade)}"] if unmade else [])]


def is_paused(reason: str, until: datetime | None, now: datetime) -> bool:
    """Whether automatic deployment is paused, indefinitely or until a time."""
    return bool(reason) and (until is None or until > now)


def paused_text(begin: str, reason: str, until: datetime | None) -> str:
    """The pause for the pusher: ``automatic deployment is paused until 2026-11-27 17:00 UTC: quarter's end``."""
    when = f" until {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if until else ""
    return f"{begin}{when}: {reason}"


def pending_lines(
    app: str, pending: Sequence[str], missing: Sequence[str], status: str, detail: str, command: str = MIGRATE
) -> list[str]:
    """Lines for the pusher about pending migrations; empty if there is nothing to report."""
    lines = []
    if pending:
        verb = "is" if len(pending) == 1 else "are"
        lines += [f" !     {plural(len(pending), 'migration')} {verb} pending: {named(pending)}"]
        lines += [
            " !     Greenroom does not run migrations automatically. To apply them:",
            f" !       greenroom run -a {app} {command}",
        ]
    if missing:
        lines += [f" !     Applied in the database but not in this code: {named(missing)}"]
    if status == "error":
        lines += [
            f" !     Could not query the database for migrations: {detail}",
            f" !       greenroom migrations -a {app}",
        ]
    return lines
