"""Reads the databases of apps: locations, sizes, and the connections from dynos."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import IntegerField, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce

from greenroom.addons.contract import Loss
from greenroom.addons.models import Addon, Restore, Snapshot
from greenroom.addons.postgres import rules
from greenroom.addons.postgres.drivers import dumps, roles
from greenroom.addons.postgres.drivers import server as host
from greenroom.addons.queries import secret_of
from greenroom.addons.rules.access import OWNER
from greenroom.basics import clock
from greenroom.basics.errors import PlatformError
from greenroom.engine import names
from greenroom.engine.contract import Forward


@dataclass(frozen=True)
class Url:
    """A database URL and its password."""

    text: str
    password: str


def port() -> int:
    """The server's TCP port; dynos reach it on 127.0.0.1 with the same number."""
    if settings.INSTALLATION["postgres"] == "embedded":
        return int(settings.INSTALLATION["pg_port"])
    return int(settings.DATABASES["default"]["PORT"] or 5432)


def server() -> str:
    """``host:port`` of the server for apps: a dyno's network consists of its forwards only."""
    return f"127.0.0.1:{port()}"


def host_url(role: str, password: str, database: str) -> str:
    """``postgres://role:password@host:port/database`` for the server of the apps' databases."""
    return f"postgres://{role}:{password}@{server()}/{database}"


def forward() -> Forward:
    """The forward from 127.0.0.1:port in a dyno to the embedded server, or to the external server's address."""
    if settings.INSTALLATION["postgres"] == "embedded":
        return Forward(port=port(), service=names.service("database"))
    name = settings.DATABASES["default"]["HOST"] or "127.0.0.1"
    return Forward(port=port(), service=names.address(name, port()))


def url_of(addon: Addon, home: Path, kind: str = OWNER) -> Url:
    """The URL of an add-on's database for one of its roles, with the decrypted password."""
    word = roles.password(secret_of(addon, home)["password"], kind)
    return Url(text=host_url(roles.name(addon.data["role"], kind), word, addon.data["database"]), password=word)


def words_of(addon: Addon, home: Path, kind: str) -> list[tuple[str, str]]:
    """(owner's value, restricted role's value): the password and the name."""
    owner, secret = addon.data["role"], url_of(addon, home).password
    return [(secret, roles.password(secret, kind)), (owner, roles.name(owner, kind))]


def connections_of(addon: Addon) -> int:
    """The maximum number of connections of the app's roles to the database together."""
    return int(addon.data.get("connections", host.CONNECTION_LIMIT))


def roles_of(addon: Addon) -> list[str]:
    """The app's login roles."""
    return [roles.name(addon.data["role"], kind) for kind in roles.ALL]


def given_out(owner_id: uuid.UUID | None = None) -> int:
    """The reserved connections of all databases, or of an account's, including the platform's own."""
    rows = Addon.objects.filter(kind="postgres", **({"app__owner_id": owner_id} if owner_id else {}))
    limit = Coalesce(Cast(KeyTextTransform("connections", "data"), IntegerField()), host.CONNECTION_LIMIT)
    return rows.aggregate(all=Sum(limit + rules.OWN))["all"] or 0


def replacing(addon: Addon) -> Restore | None:
    """The restore or reset of the database that has not yet switched to the new one."""
    return Restore.objects.filter(addon=addon, finished_at=None).exclude(state="swapped").first()


def info(addon: Addon) -> dict[str, Any]:
    """Size in bytes, number of tables and connections, and the server's version."""
    with host.connect(addon.data["database"]) as connection:
        size = connection.execute("SELECT pg_catalog.pg_database_size(pg_catalog.current_database())").fetchone()
        tables = connection.execute("SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_user_tables").fetchone()
        version = connection.execute("SHOW server_version").fetchone()
        used = connection.execute(
            "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity"
            " WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()"
        )
        connections = used.fetchone()
    return {
        "name": addon.name,
        "state": addon.state,
        "plan": addon.plan,
        "version": version[0] if version else "",
        "size_bytes": size[0] if size else 0,
        "tables": tables[0] if tables else 0,
        "connections": connections[0] if connections else 0,
        "connection_limit": connections_of(addon),
        "quota_bytes": settings.DATABASE_MB * 1_000_000,
        "over_quota": addon.data.get("over", ""),
        "database": addon.data["database"],
        "url_host": server(),
    }


def loss(row: Snapshot) -> Loss | None:
    """The data that a restore of the snapshot would discard; None if the database does not respond."""
    database, role = row.addon.data["database"], row.addon.data["role"]
    try:
        found = dumps.contents(database=database, role=role)
        with host.connect() as connection:
            facts = host.facts(connection, database)
    except PlatformError:
        return None
    then = {tuple(pair) for pair in row.migration_state}
    counted = facts and facts.oid == row.database_oid and facts.writes >= row.writes
    return Loss(
        seconds=(clock.now() - row.created_at).total_seconds(),
        writes=facts.writes - row.writes if facts and counted else None,
        migrations=tuple(f"{app}.{name}" for app, name in found.migrations if (app, name) not in then),
        tables=found.tables,
    )
