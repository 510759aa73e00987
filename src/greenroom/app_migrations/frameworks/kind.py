"""The contract of a migration framework."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """The programs for rehearsals of a framework; paths are relative to the framework's package.

    recorder: modules of one package, in import order. The last one has ``main(argv, job, probe)``, which writes
    rehearsal.json. tests: a module with ``main(argv, job, plan, probe, cell)``, which writes tests.json.
    """

    recorder: Sequence[str]
    tests: str


class Framework(Protocol):
    """One framework: ``FRAMEWORK`` of its package. ``words`` are the arguments after the framework's program."""

    @property
    def name(self) -> str:
        """Lower case, at most 20 characters."""

    @property
    def title(self) -> str:
        """The display name."""

    @property
    def rank(self) -> int:
        """Detection order of the frameworks."""

    @property
    def migrate(self) -> str:
        """The command that runs all pending migrations."""

    @property
    def probe(self) -> str:
        """The program that writes probe.json; a path relative to the framework's package."""

    @property
    def rehearsal(self) -> Rehearsal | None:
        """The programs for rehearsals; None if the framework does not support them."""

    @property
    def ledger(self) -> str:
        """The table in which the framework records applied migrations."""

    @property
    def applied(self) -> str:
        """SQL for (position, name, end in seconds since 1970) of each applied migration, oldest first."""

    @property
    def keeps_dates(self) -> bool:
        """Whether the ledger records when a migration ended; if not, ``applied`` returns the current time."""

    def is_used(self, *, is_django: bool, packages: frozenset[str]) -> bool:
        """Whether code with these installed packages uses the framework."""

    def words(self, command: str) -> list[str]:
        """The arguments after the framework's program in a plain command; empty for any other command and for shell
        syntax.
        """

    def is_migrate(self, words: Sequence[str]) -> bool:
        """Whether the command runs migrations in either direction; list and print commands do not."""

    def runs_pending(self, words: Sequence[str]) -> bool:
        """Whether the command only runs pending migrations: without any, it changes nothing."""

    def is_about(self, words: Sequence[str]) -> bool:
        """Whether the command runs or shows migrations, and so needs the code that contains them."""

    def undo(self, plan: Iterable[Mapping[str, Any]]) -> list[str]:
        """Arguments that reverse the steps of a plan, in order; empty if that is not possible."""


def plain_words(command: str) -> list[str]:
    """The arguments of a plain command; empty for shell syntax."""
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    return [] if any(word in (";", "&&", "||", "|", "&") for word in words) else words


def is_python(word: str) -> bool:
    """Whether an argument names a Python interpreter."""
    return word.rpartition("/")[2].startswith("python")
