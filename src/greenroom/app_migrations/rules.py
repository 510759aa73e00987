"""Recognises a human's migrate command, and says what it would do."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

ABOUT = ("migrate", "showmigrations", "sqlmigrate")
"""Django's commands that speak of the code's migrations."""


LOCK_SECONDS, STATEMENT_MINUTES = 5, 15
"""How long a human's migrate waits for a lock while requests queue behind it, and how long one of its statements may take."""


def guards(command: str, names: Iterable[str]) -> dict[str, str]:
    """Environment that keeps a migrate command from blocking the app for long; none when the app sets PGOPTIONS itself."""
    if not is_migrate(command) or "PGOPTIONS" in names:
        return {}
    return {"PGOPTIONS": f"-c lock_timeout={LOCK_SECONDS}s -c statement_timeout={STATEMENT_MINUTES}min"}


def is_migrate(command: str) -> bool:
    """Whether the command is Django's migrate: decided on its words, never on shell text. Listing and faking count as no migrate."""
    words = _management(command)
    return words[:1] == ["migrate"] and not {"--plan", "--check", "--help"} & set(words)


def reminder(pending: Sequence[str], *, held: bool) -> str:
    """``2 migrations are pending`` and what that means, for whoever looks at the app; empty when none is."""
    if not pending:
        return ""
    count = "1 migration is" if len(pending) == 1 else f"{len(pending)} migrations are"
    return f"{count} pending" + ("; the newest release is held for them." if held else ".")


def may_change(command: str, pending: Sequence[str] | None) -> bool:
    """Whether a command is a migrate that may change the database. pending: None when it is not known.

    A plain migrate with nothing pending changes nothing; one with words may go backwards.
    """
    words = [word for word in _management(command) if word not in ("--noinput", "--no-input")]
    return is_migrate(command) and (pending is None or bool(pending) or words != ["migrate"])


def is_about_migrations(command: str) -> bool:
    """Whether the command runs or shows migrations, so that it has to be run with the code that has them."""
    return bool(words := _management(command)) and words[0] in ABOUT


def _management(command: str) -> list[str]:
    """The words after manage.py of a plain command; none for anything else."""
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    if any(word in (";", "&&", "||", "|", "&") for word in words):
        return []
    for number, word in enumerate(words):
        if word.endswith("manage.py") or word.endswith("django-admin"):
            return words[number + 1 :]
    return []
