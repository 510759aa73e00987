"""Recognises a human's migrate command, Django's or Alembic's, and says what the radar has found."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from greenroom.buildpacks.rules.release_commands import migrates

ABOUT = ("migrate", "showmigrations", "sqlmigrate")
"""Django's commands that speak of the code's migrations."""
ABOUT_REVISIONS = ("upgrade", "downgrade", "current", "history", "heads", "show", "check", "stamp")
"""Alembic's."""


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
    """Whether the command is Django's migrate or Alembic's upgrade or downgrade: decided on its words, never on shell
    text.

    What only lists or prints counts as no migrate.
    """
    words = _management(command)
    if words:
        return words[:1] == ["migrate"] and not {"--plan", "--check", "--help"} & set(words)
    words = _alembic(command)
    return words[:1] in (["upgrade"], ["downgrade"]) and not {"--sql", "--help", "-h"} & set(words)


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
    """What a human types to run all that is pending."""
    return "alembic upgrade head" if framework == "alembic" else "python manage.py migrate"


def framework_of(*, is_django: bool, packages: Iterable[str]) -> str:
    """Which kind of migrations a slug has: ``django``, ``alembic`` or none. What is in both is Django's."""
    return "django" if is_django else "alembic" if "alembic" in packages else ""


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


def undo(plan: Iterable[Mapping[str, Any]]) -> list[str]:
    """Words for Django's ``migrate`` that take the plan back, the last app first: ``shop 0002_price`` or ``shop zero``.

    Nothing when a step cannot be undone, or its place in the order is not known.
    """
    found: dict[str, str] = {}
    for step in plan:
        app, _, _ = str(step.get("name")).partition(".")
        if step.get("reversible") is False or "parent" not in step:
            return []
        before = found.pop(app, str(step["parent"]) or "zero")
        found[app] = before
    return [f"{app} {before}" for app, before in reversed(found.items())]


def clashing(conflicts: Mapping[str, Sequence[str]]) -> str:
    """``shop: 0002_a and 0002_b`` for each app that has migrations without a common successor."""
    return "; ".join(f"{app}: {' and '.join(names)}" for app, names in sorted(conflicts.items()))


def may_change(command: str, pending: Sequence[str] | None) -> bool:
    """Whether a command is a migrate that may change the database. pending: None when it is not known.

    A plain migrate with nothing pending changes nothing; one with other words may go backwards.
    """
    words = [word for word in _management(command) if word not in ("--noinput", "--no-input")]
    plain = words == ["migrate"] or _alembic(command) in (["upgrade", "head"], ["upgrade", "heads"])
    return is_migrate(command) and (pending is None or bool(pending) or not plain)


def is_about_migrations(command: str) -> bool:
    """Whether the command runs or shows migrations, so that it has to be run with the code that has them."""
    words, revisions = _management(command), _alembic(command)
    return (bool(words) and words[0] in ABOUT) or (bool(revisions) and revisions[0] in ABOUT_REVISIONS)


def _words(command: str) -> list[str]:
    """The words of a plain command; none when it is shell text."""
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    return [] if any(word in (";", "&&", "||", "|", "&") for word in words) else words


def _alembic(command: str) -> list[str]:
    """The words after ``alembic`` and its own options, of ``alembic ...`` or ``python -m alembic ...``; none for
    anything else.
    """
    words = _words(command)
    if words[1:3] == ["-m", "alembic"] and words[0].rpartition("/")[2].startswith("python"):
        words = words[2:]
    if not words or words[0].rpartition("/")[2] != "alembic":
        return []
    rest = words[1:]
    while rest and rest[0].startswith("-"):
        rest = rest[2:] if rest[0] in ("-c", "--config", "-n", "--name", "-x") else rest[1:]
    return rest


def _management(command: str) -> list[str]:
    """The words after manage.py, django-admin or ``python -m django`` of a plain command; none for anything else."""
    words = _words(command)
    for number, word in enumerate(words):
        if word.endswith("manage.py") or word.endswith("django-admin"):
            return words[number + 1 :]
        if (
            word == "-m"
            and words[number + 1 : number + 2] == ["django"]
            and words[number - 1].rpartition("/")[2].startswith("python")
        ):
            return words[number + 2 :]
    return []
