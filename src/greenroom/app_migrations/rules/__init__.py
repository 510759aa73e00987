"""Recognises a user's migrate command, in the words of any framework, and says what the radar has found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from greenroom.app_migrations import frameworks
from greenroom.buildpacks.rules.release_commands import migrates

LOCK_SECONDS, STATEMENT_MINUTES = 5, 15
"""How long a human's migrate waits for a lock while requests queue behind it, and how long one of its statements may
take.
"""


def guards(command: str, names: Iterable[str], *, app: str = "") -> dict[str, str]:
    """Environment that keeps a migrate command from blocking the app for long, and by which its session is known; what
    the app sets itself stays.
    """
    if not is_migrate(command):
        return {}
    limits = f"-c lock_timeout={LOCK_SECONDS}s -c statement_timeout={STATEMENT_MINUTES}min"
    wanted = {"PGOPTIONS": limits, **({"PGAPPNAME": session_name(app)} if app else {})}
    return {name: value for name, value in wanted.items() if name not in names}


def session_name(app: str) -> str:
    """How the database sees a human's migrate of the app (its id)."""
    return f"greenroom-migrate-{app[:16]}"


def is_migrate(command: str) -> bool:
    """Whether the command runs migrations: decided on its words, never on shell text. Listing and printing is none."""
    found = frameworks.recognised(command)
    return found is not None and found[0].is_migrate(found[1])


def without_net(command: str) -> str:
    """What somebody is told who migrates inside a shell line: nothing of what surrounds the plain command; empty for
    any other command.
    """
    if is_migrate(command) or not migrates(command):
        return ""
    return (
        "It migrates inside a shell line, so there is no snapshot, no limit for locks and no record of it. The plain"
        " command, alone, has all of them."
    )


def migrate_command(framework: str) -> str:
    """The command that runs all pending migrations."""
    return frameworks.find(framework).migrate


def framework_of(*, is_django: bool, packages: Iterable[str]) -> str:
    """The framework of a slug's migrations; empty for none. Django's come first in a slug that has several."""
    return frameworks.of_code(is_django=is_django, packages=packages)


def no_framework() -> str:
    """The sentence for code without any known migrations."""
    first, *others = [framework.title for framework in frameworks.every()]
    rest = "".join(f" nor {title}'s" for title in others)
    return f"Its code has neither {first}'s migrations{rest}."


def not_rehearsed() -> str:
    """The sentence for a rehearsal of a framework that cannot be rehearsed."""
    titles = [f"{framework.title}'s" for framework in frameworks.every() if framework.rehearsal]
    return f"Only {' and '.join(titles)} migrations are rehearsed."


@dataclass(frozen=True)
class Astray:
    """What else the radar may find: applied but not in the code, without a common successor, changes of models without
    a migration.
    """

    missing: Sequence[str] = ()
    conflicts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unmade: Sequence[str] = ()


def reminder(pending: Sequence[str], *, held: bool, astray: Astray = Astray()) -> str:
    """``2 migrations are pending`` and what that means, and what else is not as it should be, for whoever looks at the
    app; empty when all is well.
    """
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
    """``ask`` or ``refuse`` when a rollback across migrations may not go on yet, else nothing.

    proven: a rehearsal saw this code work after them; agreed: the person has read what was applied and means it;
    forced: whatever the policy says.
    """
    chosen = way_back(policy)
    if forced or chosen == TELL or (chosen == ASK and (proven or agreed)):
        return ""
    return chosen


def undo(framework: str, plan: Iterable[Mapping[str, Any]]) -> list[str]:
    """Words for the framework's migrate command that take the plan back, in order; empty if that is not possible."""
    return frameworks.find(framework).undo(plan)


def clashing(conflicts: Mapping[str, Sequence[str]]) -> str:
    """``shop: 0002_a and 0002_b`` for each app that has migrations without a common successor."""
    return "; ".join(f"{app}: {' and '.join(names)}" for app, names in sorted(conflicts.items()))


def may_change(command: str, pending: Sequence[str] | None) -> bool:
    """Whether a command is a migrate that may change the database. pending: None when it is not known.

    A plain migrate with nothing pending changes nothing; one with other words may go backwards.
    """
    found = frameworks.recognised(command)
    if found is None or not found[0].is_migrate(found[1]):
        return False
    return pending is None or bool(pending) or not found[0].runs_pending(found[1])


def is_about_migrations(command: str) -> bool:
    """Whether the command runs or shows migrations, so that it has to be run with the code that has them."""
    found = frameworks.recognised(command)
    return found is not None and found[0].is_about(found[1])
