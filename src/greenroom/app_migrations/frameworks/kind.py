"""The contract of a migration framework."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """The programs of a framework that can be rehearsed; paths are below the folder of the framework.

    recorder: modules of one package, in the order of their imports. The last one has ``main(argv, job, probe)``, which
    leaves rehearsal.json. tests: a module with ``main(argv, job, plan, probe, cell)``, which leaves tests.json.
    """

    recorder: Sequence[str]
    tests: str


class Framework(Protocol):
    """One framework. ``FRAMEWORK`` of its folder. ``words`` are those of a command after the framework's program."""

    @property
    def name(self) -> str:
        """Lower case, at most 20 characters."""

    @property
    def title(self) -> str:
        """The name as people write it."""

    @property
    def rank(self) -> int:
        """Frameworks are asked in this order."""

    @property
    def migrate(self) -> str:
        """The command that runs all pending migrations."""

    @property
    def probe(self) -> str:
        """The program that leaves probe.json; a path below the folder of the framework."""

    @property
    def rehearsal(self) -> Rehearsal | None:
        """The programs of a rehearsal; None for a framework that cannot be rehearsed."""

    @property
    def ledger(self) -> str:
        """The table in which the framework records applied migrations."""

    @property
    def applied(self) -> str:
        """SQL for (position, name, end in seconds since 1970) of each applied migration, oldest first."""

    @property
    def keeps_dates(self) -> bool:
        """Whether the ledger keeps when a migration ended; if not, ``applied`` gives the present moment."""

    def is_used(self, *, is_django: bool, packages: frozenset[str]) -> bool:
        """Whether code with these installed packages uses the framework."""

    def words(self, command: str) -> list[str]:
        """The words after the framework's program in a plain command; empty for any other command and shell text."""

    def is_migrate(self, words: Sequence[str]) -> bool:
        """Whether the command runs migrations in either direction; listing and printing is none."""

    def runs_pending(self, words: Sequence[str]) -> bool:
        """Whether the command only runs what is pending, so that it changes nothing if nothing is."""

    def is_about(self, words: Sequence[str]) -> bool:
        """Whether the command runs or shows migrations, so that it needs the code that has them."""

    def undo(self, plan: Iterable[Mapping[str, Any]]) -> list[str]:
        """Words that take the steps of a plan back, in order; empty if that is not possible."""


def plain_words(command: str) -> list[str]:
    """The words of a plain command; none for shell text."""
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    return [] if any(word in (";", "&&", "||", "|", "&") for word in words) else words


def is_python(word: str) -> bool:
    """Whether a word names a Python interpreter."""
    return word.rpartition("/")[2].startswith("python")
