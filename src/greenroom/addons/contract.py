"""The contract of an add-on kind: a resource for an app, reached through config vars and forwards.

Optional capabilities (``doubles``, ``snapshots``, ``backups``, ``schema``, ``mounts``, ``options``) are None if a kind
lacks them.
Rows are written before side effects, and each side effect is idempotent: the worker repeats it after a crash.
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
from greenroom.engine.contract import Forward, Mount

DATA = "data"
"""The part of a backup that changes."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The row of a new add-on. name: unique; data: stored in plain text; secret: stored encrypted."""

    name: str
    data: Mapping[str, Any] = field(default_factory=dict)
    secret: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Double:
    """A temporary add-on for one test run. values: by suffix, as for an add-on."""

    name: str
    values: Mapping[str, str]
    forwards: tuple[Forward, ...] = ()


@dataclass(frozen=True)
class Copy:
    """A copy with data for a rehearsal. url: for the owner role; app_url: for the app's role; bytes: of the original.

    dump_seconds, load_seconds: durations of the dump and the load.
    """

    name: str
    url: str
    app_url: str
    dump_seconds: float
    load_seconds: float
    bytes: int
    tables: int


@dataclass(frozen=True)
class Loss:
    """The data that a restore would discard. writes: rows written since, by the server's counters; None if unknown.

    migrations: ``app.name`` of those applied since; tables: their present number.
    """

    seconds: float
    writes: int | None
    migrations: tuple[str, ...]
    tables: int


class Doubles(Protocol):
    """Creates doubles for test runs. The same label always means the same double."""

    def make(self, *, label: str, app: App) -> Double:
        """An empty double for a test run of the app, with secrets of its own."""

    def drop(self, *, label: str) -> None:
        """Remove it with all its data. No effect for an unknown label."""

    def present(self) -> set[str]:
        """The names of the existing doubles."""

    def drop_others(self, *, there: set[str], labels: Iterable[str]) -> list[str]:
        """Drop the doubles of ``there`` that belong to none of the labels; returns their names.

        Call ``present`` before reading the labels: a double created meanwhile is then safe.
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
        """Take a snapshot now, in this process and outside of a transaction. PlatformError on failure."""

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
        """Request a snapshot from the worker. ConflictError if another request is waiting."""

    def loss(self, row: Snapshot) -> Loss | None:
        """The data that a restore of the snapshot would discard now; None if the add-on does not respond."""


class Restores(Protocol):
    """Replaces an add-on's data with a snapshot."""

    def ask(
        self, *, actor: Actor, addon: Addon, snapshot: Snapshot | None, release_version: int | None = None
    ) -> Restore:
        """Request a restore from the worker; without a snapshot, the data is emptied."""


class Backups(Protocol):
    """Saves an add-on's data for a backup of the installation, and loads it into one that has only its row.

    The data consists of parts: ``DATA``, which changes, and further ones that never do (snapshots). Each is a file.
    """

    def parts(self, addon: Addon) -> tuple[str, ...]:
        """The names of the parts, which consist of letters, digits and dashes; none if the kind keeps no data of it."""

    def dump(self, *, addon: Addon, part: str, home: Path, target: Path) -> None:
        """Write a part to a new file, while the app uses the add-on. NotFoundError if it has been removed since the row
        was read; PlatformError.
        """

    def load(self, *, addon: Addon, part: str, home: Path, source: Path) -> None:
        """Make the resource with the data of a saved part, before the worker and the app's dynos run. PlatformError."""


class Copies(Protocol):
    """Copies an add-on with its data, for rehearsals."""

    def name_for(self, addon: Addon, number: int) -> str:
        """The name of the copy of that number."""

    def make(self, *, addon: Addon, name: str, folder: Path, deadline: float) -> Copy:
        """Copy the present data. deadline: seconds for the dump and for the load, each; folder: for temporary files."""

    def keep_schema(self, *, clone: Copy, target: Path, deadline: float) -> None:
        """Write the copy's present schema to a file."""

    def make_bare(self, *, clone: Copy, source: Path, deadline: float) -> str:
        """A database with a dumped schema and no rows; returns its URL. Dropped with the copy."""

    def drop(self, *, name: str) -> None:
        """Remove the copy; no effect if there is none."""

    def present(self) -> set[str]:
        """The names of the existing copies."""


class Options(Protocol):
    """For a kind whose add-ons are created with options."""

    def choose(self, *, app: App, given: Mapping[str, object], home: Path) -> Mapping[str, Any]:
        """The data of a new one, in the caller's transaction, with defaults for absent options. UserError for a wrong
        option, ConflictError or DiskFullError if there is no capacity.
        """

    def same(self, addon: Addon) -> Mapping[str, object]:
        """The options that make an empty one like it, for review apps."""


class Mounts(Protocol):
    """For a kind whose data is files that dynos see."""

    def of(self, addons: Sequence[Addon], *, dyno: str) -> tuple[Mount, ...]:
        """The mounts of the add-ons that an app owns. dyno: the kind of the dyno; ``probe`` changes nothing."""

    def in_tests(self, addons: Sequence[Addon]) -> tuple[dict[str, str], tuple[Mount, ...]]:
        """The config vars and the empty folders that take the place of the add-ons in a test run."""


class Schema(Protocol):
    """For a kind whose schema the app's migrations change."""

    copies: Copies

    def urls(self, addon: Addon, home: Path) -> list[str]:
        """All URLs of the live data, for every access level."""

    def replacing(self, addon: Addon) -> Restore | None:
        """The restore or reset that has not yet switched to the new data."""

    def settle(self, addon: Addon) -> None:
        """Set the privileges on objects that a migration created. PlatformError or psycopg.Error."""

    def look_in(self, addon: Addon, *, seconds: float) -> AbstractContextManager[psycopg.Connection | None]:
        """A connection with the app's read privileges for at most ``seconds``; None if there is nothing to read."""

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
        """One idempotent step; True requests the next one immediately."""


class Kind(Protocol):
    """One kind of add-on."""

    service: Service
    doubles: Doubles | None
    snapshots: Snapshots | None
    restores: Restores | None
    backups: Backups | None
    schema: Schema | None
    mounts: Mounts | None
    options: Options | None

    def refuse_if_full(self, owner: Account) -> None:
        """ConflictError if the account has no capacity for another one."""

    def draft(self, app: App) -> Draft:
        """The row of a new one, in the caller's transaction. ConflictError if there is no capacity."""

    def provision(self, *, addon: Addon, home: Path) -> None:
        """Provision the resource of the row, or start to."""

    def finish(self, *, addon: Addon, home: Path) -> bool:
        """Whether it is ready for use; if not, the worker calls ``provision`` and ``finish`` again."""

    def deprovision(self, *, addon: Addon, home: Path) -> None:
        """Remove it with its data; no effect if it does not exist. The caller removes the row."""

    def values(self, addon: Addon, home: Path) -> dict[str, str]:
        """The values of an attachment's config vars, by suffix (``{"_URL": ...}``), for the owner's access."""

    def rotate(self, *, actor: Actor, addon: Addon, home: Path) -> None:
        """Give it new secrets; the former ones remain valid for a while. ConflictError if the kind cannot."""

    def words(self, addon: Addon, home: Path, access: str) -> list[tuple[str, str]]:
        """(owner's value, value of the lower access level) to replace in an environment."""

    def forwards(self, addons: Sequence[Addon]) -> tuple[Forward, ...]:
        """The forwards from a dyno to the add-ons, which its app sees."""

    def info(self, addon: Addon) -> dict[str, Any]:
        """Its size, limits and state, in the API's format."""

    def sweeps(self, home: Path) -> Mapping[str, Callable[[], object]]:
        """The worker's maintenance tasks by name (limits, leftovers, checks), called every few seconds."""

    def loops(self, home: Path, platform: Platform) -> Mapping[str, Loop]:
        """The worker's loops of this kind, by name."""

    def catch_up(self, home: Path) -> None:
        """Upgrade add-ons of earlier versions, at the start of the worker."""
