"""Recognises a user's migrate command of any framework, and describes the probe's answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from greenroom.app_migrations import frameworks
from greenroom.buildpacks.rules.release_commands import migrates

LOCK_SECONDS, STATEMENT_MINUTES = 5, 15
"""Lock timeout and statement timeout of a user's migrate command. Requests queue behind a waiting lock."""


def guards(command: str, names: Iterable[str], *, app: str = "") -> dict[str, str]:
    """Environment that limits how long a migrate command blocks the app, and names its session.

    Variables that the app sets itself are kept.
    """
    if not is_migrate(command):
        return {}
    limits = f"-c lock_timeout={LOCK_SECONDS}s -c statement_timeout={STATEMENT_MINUTES}min"
    wanted = {"PGOPTIONS": limits, **({"PGAPPNAME": session_name(app)} if app else {})}
    return {name: value for name, value in wanted.items() if name not in names}


def session_name(app: str) -> str:
    """The database session name of a user's migrate command for the app (its id)."""
    return f"greenroom-migrate-{app[:16]}"


def is_migrate(command: str) -> bool:
    """Whether the command runs migrations. Parses plain commands, never shell syntax; list and print commands do not
    count.
    """
    found = frameworks.recognised(command)
    return found is not None and found[0].is_migrate(found[1])


def without_net(command: str) -> str:
    """Warning for a migrate command inside a shell line: none of the safeguards apply. Empty for any other command."""
    if is_migrate(command) or not migrates(command):
        return ""
    return (
        "It migrates inside a shell command line: without a snapshot, a lock timeout and a record. Run the migrate"
        " command alone to get all of them."
    )


def migrate_command(framework: str) -> str:
    """The command that runs all pending migrations."""
    return frameworks.find(framework).migrate


def framework_of(*, is_django: bool, packages: Iterable[str]) -> str:
    """The framework of a slug's migrations, Django first; empty for none."""
    return frameworks.of_code(is_django=is_django, packages=packages)


def no_framework() -> str:
    """The message for code without a known migration framework."""
    first, *others = [framework.title for framework in frameworks.every()]
    rest = "".join(f" nor {title}'s" for title in others)
    return f"Its code has neither {first}'s migrations{rest}."


def not_rehearsed() -> str:
    """The message for a framework without rehearsal support."""
    titles = [f"{framework.title}'s" for framework in frameworks.every() if framework.rehearsal]
    return f"Only {' and '.join(titles)} migrations are rehearsed."


@dataclass(frozen=True)
class Astray:
    """Other irregularities: applied but not in the code, no common successor, model changes without a migration."""

    missing: Sequence[str] = ()
    conflicts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unmade: Sequence[str] = ()


def reminder(pending: Sequence[str], *, held: bool, astray: Astray = Astray()) -> str:
    """``2 migrations are pending`` with an explanation, and other irregularities; empty if there are none."""
    found = []
    if pending:
        count = "1 migration is" if len(pending) == 1 else f"{len(pending)} migrations are"
        found.append(f"{count} pending" + ("; the newest release is held for them" if held else ""))
    if astray.missing:
        many = len(astray.missing)
        found.append(f"{many} applied in the database {'is' if many == 1 else 'are'} not in this code")
    if astray.conflicts:
        found.append(f"migrations conflict ({clashing(astray.conflicts)})")
    if astray.unmade:
        found.append("the models have changes without a migration")
    return "; ".join(found) + "." if found else ""


ASK, REFUSE, TELL = "ask", "refuse", "tell"


def way_back(policy: Mapping[str, Any]) -> str:
    """``[policy] rollback`` of greenroom.toml: ``refuse`` or ``tell``, else ``ask``."""
    chosen = policy.get("rollback")
    return str(chosen) if chosen in (REFUSE, TELL) else ASK


def stops_rollback(policy: Mapping[str, Any], *, proven: bool, agreed: bool, forced: bool) -> str:
    """``ask`` or ``refuse`` if a rollback across migrations needs a confirmation or is forbidden, else empty.

    proven: a rehearsal showed that this code works after them; agreed: the user confirmed the rollback; forced:
    overrides the policy.
    """
    chosen = way_back(policy)
    if forced or chosen == TELL or (chosen == ASK and (proven or agreed)):
        return ""
    return chosen


def undo(framework: str, plan: Iterable[Mapping[str, Any]]) -> list[str]:
    """Arguments for the framework's migrate command that reverse the plan, in order; empty if that is not possible."""
    return frameworks.find(framework).undo(plan)


def clashing(conflicts: Mapping[str, Sequence[str]]) -> str:
    """``shop: 0002_a and 0002_b`` for each app with migrations without a common successor."""
    return "; ".join(f"{app}: {' and '.join(names)}" for app, names in sorted(conflicts.items()))


def may_change(command: str, pending: Sequence[str] | None) -> bool:
    """Whether a command is a migrate command that may change the database. pending: None if unknown.

    A plain migrate command without pending migrations changes nothing; one with arguments may migrate backwards.
    """
    found = frameworks.recognised(command)
    if found is None or not found[0].is_migrate(found[1]):
        return False
    return pending is None or bool(pending) or not found[0].runs_pending(found[1])


def is_about_migrations(command: str) -> bool:
    """Whether the command runs or shows migrations, and so needs the code that contains them."""
    found = frameworks.recognised(command)
    return found is not None and found[0].is_about(found[1])
