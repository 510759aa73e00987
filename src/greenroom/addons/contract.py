"""What a kind of add-on is: a resource of its own for an app, which the app reaches by config vars and forwards.

Capabilities that a kind may lack (``doubles``, ``snapshots``, ``schema``) are None then. Rows come before side effects,
and each side effect is repeatable: the worker calls it again after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import psycopg

from greenroom.accounts.models import Account
from greenroom.accounts.rules import Actor
from greenroom.addons.models import Addon, Restore, Snapshot
from greenroom.addons.rules.services import Service
from greenroom.apps.models import App
from greenroom.engine.contract import Forward


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The row of a new add-on. name: unique; data: stored in clear; secret: stored encrypted."""

    name: str
    data: Mapping[str, Any] = field(default_factory=dict)
    secret: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Double:
    """A throw-away stand-in for one test run. values: by suffix, as of an add-on."""

    name: str
    values: Mapping[str, str]
    forwards: tuple[Forward, ...] = ()


@dataclass(frozen=True)
class Copy:
    """A filled copy for a rehearsal. url: its owner's; app_url: that of the app's own processes; bytes: of the
    original. dump_seconds, load_seconds: durations of the two halves of the work.
    """

    name: str
    url: str
    app_url: str
    dump_seconds: float
    load_seconds: float
    bytes: int
    tables: int


class Doubles(Protocol):
    """Makes stand-ins for test runs. The same label means the same stand-in."""

    def make(self, *, label: str) -> Double:
        """An empty one, with new secrets."""

    def drop(self, *, label: str) -> None:
        """Remove it with all that the tests left in it. Unknown label: nothing."""

    def present(self) -> set[str]:
        """The names of those that exist."""

    def drop_others(self, *, there: set[str], labels: Iterable[str]) -> list[str]:
        """Drop those of ``there`` that were made for none of the labels; their names. Ask ``present`` before reading
        the labels: a double that is made meanwhile is in neither.
        """


class Snapshots(Protocol):
    """Dumps an add-on's data to a file."""

    def capture(
        self,
        *,
        actor: Actor,
        addon: Addon,
        home: Path,
        kind: str,
        reason: str = "",
        pinned: bool = False,
        release_version: int | None = None,
    ) -> Snapshot:
        """Take one now, in this process and outside of a transaction. PlatformError when it fails."""

    def ask(
        self,
        *,
        actor: Actor,
        addon: Addon,
        reason: str = "",
        pinned: bool = False,
        release_version: int | None = None,
        kind: str = "manual",
    ) -> Snapshot:
        """One that the worker will take. ConflictError while another one waits."""


class Restores(Protocol):
    """Replaces an add-on's data by a snapshot's."""

    def ask(
        self, *, actor: Actor, addon: Addon, snapshot: Snapshot | None, release_version: int | None = None
    ) -> Restore:
        """A restore that the worker will carry out; without a snapshot, the data is emptied."""


class Copies(Protocol):
    """Copies an add-on with its data, for rehearsals."""

    def name_for(self, addon: Addon, number: int) -> str:
        """The name of the copy of that number."""

    def make(self, *, addon: Addon, name: str, folder: Path, deadline: float) -> Copy:
        """Copy the data as it is now. deadline: seconds for each half of the work; folder: for temporary files."""

    def keep_schema(self, *, clone: Copy, target: Path, deadline: float) -> None:
        """Write the copy's present schema to a file."""

    def make_bare(self, *, clone: Copy, source: Path, deadline: float) -> str:
        """A database with a kept schema and no rows; its URL. Goes with the copy."""

    def drop(self, *, name: str) -> None:
        """Remove the copy; nothing if there is none."""

    def present(self) -> set[str]:
        """The names of the copies that exist."""


class Schema(Protocol):
    """Of a kind whose schema an app's migrations change."""

    copies: Copies

    def urls(self, addon: Addon, home: Path) -> list[str]:
        """All URLs that lead to the live data, whatever the access."""

    def replacing(self, addon: Addon) -> Restore | None:
        """The restore or reset that has not put the new data in place yet."""

    def settle(self, addon: Addon) -> None:
        """Set the rights on what a migration made. PlatformError or psycopg.Error."""

    def look_in(self, addon: Addon, *, seconds: float) -> AbstractContextManager[psycopg.Connection | None]:
        """A connection that reads as the app does, for at most so long; None when there is nothing to read."""

    def restarted_since(self, moment: datetime) -> bool:
        """Whether the server was restarted since, which cut off all work on it."""


@dataclass(frozen=True, kw_only=True)
class Platform:
    """Functions of higher rooms that a kind's loops call.

    serving: the version of the release that serves the app. replaced: an app's data was replaced by the actor.
    wake: there is work for the delivery loop.
    """

    serving: Callable[[App], int | None]
    replaced: Callable[[App, Actor], None]
    wake: Callable[[], None]


class Loop(Protocol):
    """Called by the worker in a thread of its own."""

    def turn(self) -> bool:
        """One repeatable step; True asks for the next one at once."""


class Kind(Protocol):
    """One kind of add-on."""

    service: Service
    doubles: Doubles | None
    snapshots: Snapshots | None
    restores: Restores | None
    schema: Schema | None

    def refuse_if_full(self, owner: Account) -> None:
        """ConflictError when there is no room for another one of the account's."""

    def draft(self, app: App) -> Draft:
        """The row of a new one, in the caller's transaction. ConflictError when there is no room."""

    def provision(self, *, addon: Addon, home: Path) -> None:
        """Make what the row says, or begin to."""

    def finish(self, *, addon: Addon, home: Path) -> bool:
        """Whether it is ready for use; if not, the worker provisions and asks again."""

    def deprovision(self, *, addon: Addon, home: Path) -> None:
        """Remove it with its data; nothing if it was never made. The caller removes the row."""

    def values(self, addon: Addon, home: Path) -> dict[str, str]:
        """The values of an attachment's config vars, by suffix (``{"_URL": ...}``), for the owner's access."""

    def words(self, addon: Addon, home: Path, access: str) -> list[tuple[str, str]]:
        """(the owner's word, that of a lesser access) to exchange in an environment."""

    def forwards(self, addons: Sequence[Addon]) -> tuple[Forward, ...]:
        """The way from a dyno to those add-ons, which its app sees."""

    def info(self, addon: Addon) -> dict[str, Any]:
        """Its size, limits and state, as the API shows them."""

    def sweeps(self, home: Path) -> Mapping[str, Callable[[], object]]:
        """The parts of the worker's maintenance by name (limits, leftovers, checks), called every few seconds."""

    def loops(self, home: Path, platform: Platform) -> Mapping[str, Loop]:
        """Its loops of the worker, by name."""

    def catch_up(self, home: Path) -> None:
        """Bring the add-ons of earlier versions up to date, when the worker starts."""
