"""Reads about the databases of apps: where they are, how large, and how a dyno reaches them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from greenroom.addons.models import Addon
from greenroom.addons.postgres import host
from greenroom.apps.models import App
from greenroom.config_vars.crypto import unseal
from greenroom.config_vars.models import DataKey
from greenroom.config_vars.queries import open_data_key
from greenroom.engine.contract import Forward


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
    """The app's first database, or None."""
    return Addon.objects.filter(app=app, kind="postgres").order_by("created_at").first()


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
