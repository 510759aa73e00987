"""Reads about the databases of apps: where they are, how large, and how a dyno reaches them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from greenroom.addons.models import Addon, Restore, Snapshot
from greenroom.addons.postgres import dumps, host
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.basics.errors import NotFoundError, PlatformError
from greenroom.config_vars.crypto import unseal
from greenroom.config_vars.models import DataKey
from greenroom.config_vars.queries import open_data_key
from greenroom.engine.contract import Forward


@dataclass(frozen=True)
class Loss:
    """What a restore would take away. writes: rows written since, as the server counts them; None when it cannot tell.

    migrations: ``app.name`` of those applied since; tables: how many there are now.
    """

    seconds: float
    writes: int | None
    migrations: tuple[str, ...]
    tables: int


@dataclass(frozen=True)
class Url:
    """A database URL and the password in it."""

    text: str
    password: str


def port() -> int:
    """The server's TCP port; inside dynos it is reached on 127.0.0.1 under the same one."""
    if settings.INSTALLATION["postgres"] == "embedded":
        return int(settings.INSTALLATION["pg_port"])
    return int(settings.DATABASES["default"]["PORT"] or 5432)


def server() -> str:
    """``host:port`` under which apps reach the server: a dyno has no network but what is forwarded to it."""
    return f"127.0.0.1:{port()}"


def forward() -> Forward:
    """How a dyno reaches the server: 127.0.0.1:port inside leads to the embedded server's socket, or to the external one's address."""
    if settings.INSTALLATION["postgres"] == "embedded":
        return Forward(port=port(), socket=f"run/postgres/.s.PGSQL.{port()}")
    name = settings.DATABASES["default"]["HOST"] or "127.0.0.1"
    return Forward(port=port(), socket=f"tcp:[{name}]:{port()}" if ":" in name else f"tcp:{name}:{port()}")


def url_of(addon: Addon, home: Path) -> Url:
    """The URL of an add-on's database, its password decrypted."""
    key = open_data_key(DataKey.objects.get(app_id=addon.app_id), home)
    password = json.loads(unseal(key, bytes(addon.sealed), f"addon/{addon.id}"))["password"]
    text = f"postgres://{addon.data['role']}:{password}@{server()}/{addon.data['database']}"
    return Url(text=text, password=password)


def of_app(app: App) -> Addon | None:
    """The app's own database that it sees as DATABASE_URL, else its first one, or None."""
    own = Addon.objects.filter(app=app, kind="postgres").exclude(state="deprovisioning").select_related("app")
    promoted = own.filter(attachments__app=app, attachments__name="DATABASE").first()
    return promoted or own.order_by("created_at").first()


def replacing(app: App) -> Restore | None:
    """The restore or reset of the app's database that has not put the new one in place yet."""
    addon = of_app(app)
    if addon is None:
        return None
    return Restore.objects.filter(addon=addon, finished_at=None).exclude(state="swapped").first()


def info(addon: Addon) -> dict[str, Any]:
    """Size in bytes, number of tables and connections, and the server's version."""
    with host.connect(addon.data["database"]) as connection:
        size = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        tables = connection.execute("SELECT count(*) FROM pg_stat_user_tables").fetchone()
        version = connection.execute("SHOW server_version").fetchone()
        used = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
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
        "connection_limit": host.CONNECTION_LIMIT,
        "database": addon.data["database"],
        "url_host": server(),
    }


def snapshots_of(app: App) -> list[Snapshot]:
    """All snapshots of the app's databases that are not being removed, newest first."""
    rows = Snapshot.objects.filter(addon__app=app).exclude(state="deleting").select_related("addon__app")
    return list(rows.order_by("-number"))


def snapshot(app: App, name: str) -> Snapshot:
    """The snapshot called ``b001`` or ``1``, or of that id. NotFoundError when there is none."""
    number = name.lstrip("ab")
    for row in snapshots_of(app):
        if str(row.id) == name or (number.isdecimal() and len(number) < 9 and row.number == int(number)):
            return row
    raise NotFoundError(
        f"Couldn't find snapshot {name[:40]}.", hint=f"greenroom pg:snapshots -a {app.name}", resource="snapshot"
    )


def restores_of(app: App) -> list[Restore]:
    """All restores of the app's databases, newest first."""
    return list(
        Restore.objects.filter(addon__app=app).select_related("addon__app", "snapshot", "saved").order_by("-number")
    )


def restore(app: App, name: str) -> Restore:
    """The restore called ``r002``, or of that id. NotFoundError when there is none."""
    number = name.removeprefix("r")
    for row in restores_of(app):
        if str(row.id) == name or (number.isdecimal() and len(number) < 9 and row.number == int(number)):
            return row
    raise NotFoundError(f"Couldn't find restore {name[:40]}.", resource="restore")


def loss(row: Snapshot) -> Loss | None:
    """What putting the database back to the snapshot would take away; None while the database does not answer."""
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
