"""Alembic revisions, with or without Flask-Migrate's directory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from greenroom.app_migrations.frameworks.kind import is_python, plain_words

ABOUT = ("upgrade", "downgrade", "current", "history", "heads", "show", "check", "stamp")
LOOKS_ONLY = {"--sql", "--help", "-h"}
WITH_VALUE = ("-c", "--config", "-n", "--name", "-x")
"""Options of ``alembic`` itself that take a value."""


class Alembic:
    """``alembic`` and ``python -m alembic``."""

    name, title, rank = "alembic", "Alembic", 20
    migrate = "alembic upgrade head"
    probe = "inside/probe.py"
    rehearsal = None
    ledger = "alembic_version"
    applied = (
        "SELECT 0::bigint, version_num::text, extract(epoch FROM clock_timestamp())::float8 FROM public.alembic_version"
        " ORDER BY 2"
    )
    keeps_dates = False

    def is_used(self, *, is_django: bool, packages: frozenset[str]) -> bool:
        """Whether the package is installed."""
        return "alembic" in packages

    def words(self, command: str) -> list[str]:
        """The arguments after ``alembic`` and its global options."""
        words = plain_words(command)
        if words[1:3] == ["-m", "alembic"] and is_python(words[0]):
            words = words[2:]
        if not words or words[0].rpartition("/")[2] != "alembic":
            return []
        rest = words[1:]
        while rest and rest[0].startswith("-"):
            rest = rest[2:] if rest[0] in WITH_VALUE else rest[1:]
        return rest

    def is_migrate(self, words: Sequence[str]) -> bool:
        """Whether it is ``upgrade`` or ``downgrade`` without a read-only option."""
        return words[0] in ("upgrade", "downgrade") and not LOOKS_ONLY & set(words)

    def runs_pending(self, words: Sequence[str]) -> bool:
        """Whether it is ``upgrade`` to the newest revisions."""
        return list(words) in (["upgrade", "head"], ["upgrade", "heads"])

    def is_about(self, words: Sequence[str]) -> bool:
        """Whether it is one of the commands that read revisions."""
        return words[0] in ABOUT

    def undo(self, plan: Iterable[Mapping[str, Any]]) -> list[str]:
        """Always empty: the probe does not report the previous revision."""
        return []


FRAMEWORK = Alembic()
