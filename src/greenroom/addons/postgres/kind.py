"""PostgreSQL databases as a kind of add-on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from greenroom.accounts.models import Account
from greenroom.accounts.rules import Actor
from greenroom.addons.contract import (
    Backups,
    Copies,
    Doubles,
    Draft,
    Kind,
    Loop,
    Mounts,
    Options,
    Platform,
    Restores,
    Schema,
    Snapshots,
)
from greenroom.addons.models import Addon, Restore
from greenroom.addons.postgres import actions, loop, queries, rules
from greenroom.addons.postgres.actions import backups, limits, restores, snapshots, throwaways
from greenroom.addons.postgres.drivers import clones, guests, roles, server, temporary
from greenroom.addons.rules.access import APP, OWNER
from greenroom.apps.models import App
from greenroom.basics.errors import ConflictError
from greenroom.engine.contract import Forward

log = logging.getLogger(__name__)


class PostgresSchema:
    """The schema of a database."""

    copies: Copies = clones

    def urls(self, addon: Addon, home: Path) -> list[str]:
        return [queries.url_of(addon, home, kind).text for kind in (OWNER, APP)]

    def replacing(self, addon: Addon) -> Restore | None:
        return queries.replacing(addon)

    def settle(self, addon: Addon) -> None:
        """Grant the app access to new tables, and read-only access to the migration table."""
        roles.share(str(addon.data["database"]), str(addon.data["role"]))

    @contextmanager
    def look_in(self, addon: Addon, *, seconds: float) -> Iterator[psycopg.Connection | None]:
        database = str(addon.data["database"])
        with server.connect() as connection:
            role = server.tenant(connection, database)
        if role is None:
            yield None
            return
        with guests.guest(role, seconds=seconds) as guest, server.connect(database, guest) as connection:
            yield connection

    def restarted_since(self, moment: datetime) -> bool:
        return server.restarted_since(moment)


class PostgresSnapshots:
    """Dumps of a database."""

    capture = staticmethod(snapshots.capture)
    ask = staticmethod(snapshots.ask)
    loss = staticmethod(queries.loss)


class Postgres:
    """A database on the platform's server, with three roles."""

    service = rules.SERVICE
    doubles: Doubles | None = throwaways
    snapshots: Snapshots | None = PostgresSnapshots()
    restores: Restores | None = restores
    backups: Backups | None = backups
    schema: Schema | None = PostgresSchema()
    mounts: Mounts | None = None
    options: Options | None = None

    def refuse_if_full(self, owner: Account) -> None:
        limits.refuse_if_full(owner)

    def draft(self, app: App) -> Draft:
        return actions.draft(app)

    def provision(self, *, addon: Addon, home: Path) -> None:
        actions.build(addon=addon, home=home)

    def finish(self, *, addon: Addon, home: Path) -> bool:
        return True

    def deprovision(self, *, addon: Addon, home: Path) -> None:
        actions.deprovision(addon=addon)

    def values(self, addon: Addon, home: Path) -> dict[str, str]:
        return {"_URL": queries.url_of(addon, home).text}

    def rotate(self, *, actor: Actor, addon: Addon, home: Path) -> None:
        raise ConflictError(
            f"The password of {addon.name} cannot be changed.",
            hint="create another database, copy the data with heroku pg:copy, and promote it with heroku pg:promote",
        )

    def words(self, addon: Addon, home: Path, access: str) -> list[tuple[str, str]]:
        return queries.words_of(addon, home, access)

    def forwards(self, addons: Sequence[Addon]) -> tuple[Forward, ...]:
        """Also without an add-on: an app may have the URL of another app's database in a config var."""
        return (queries.forward(),)

    def info(self, addon: Addon) -> dict[str, Any]:
        return queries.info(addon)

    def sweeps(self, home: Path) -> Mapping[str, Callable[[], object]]:
        return {
            "snapshots": partial(snapshots.sweep, home=home),
            "restores": restores.sweep,
            "databases": limits.Watch(home).turn,
            "temporary": temporary.look,
            "roles": loop.RoleChecks(home).turn,
        }

    def loops(self, home: Path, platform: Platform) -> Mapping[str, Loop]:
        return {"databases": loop.Loop(home, platform, loop.HANDS)}

    def catch_up(self, home: Path) -> None:
        for addon in actions.catch_up(home=home):
            log.info("%s: created roles for the app's processes", addon.name)


KIND: Kind = Postgres()
