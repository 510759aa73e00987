"""Reads the facts of a store: its server, URLs and state."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import valkey

from greenroom.addons.models import Addon
from greenroom.addons.queries import secret_of, server_key, server_start
from greenroom.addons.redis import rules
from greenroom.addons.redis.drivers import clients
from greenroom.addons.redis.drivers.servers import Server
from greenroom.basics import clock
from greenroom.basics.errors import PlatformError


def connection(addon: Addon, home: Path) -> AbstractContextManager[valkey.Valkey]:
    """A connection to the store as the platform. PlatformError if its server does not answer."""
    return clients.connect(home, server_key(addon), secret_of(addon, home)["platform"])


def settings_of(addon: Addon) -> dict[str, Any]:
    """All settings, with defaults."""
    return {name: addon.data.get(name, value) for name, value in rules.DEFAULTS.items()}


def passwords_of(addon: Addon, home: Path) -> list[str]:
    """The app's passwords that are valid now, the current one first."""
    secret = secret_of(addon, home)
    former = secret.get("former", "")
    return [
        secret["password"],
        *([former] if former and addon.data.get("former_until", 0) > clock.now().timestamp() else []),
    ]


def server_of(addon: Addon, home: Path) -> Server:
    """The server of the store's present start."""
    platform = secret_of(addon, home)["platform"]
    configuration = rules.configuration(
        plan=addon.plan, settings=settings_of(addon), passwords=passwords_of(addon, home), platform=platform
    )
    return Server(
        key=server_key(addon),
        number=server_start(addon),
        owner=addon.app_id.hex,
        uid=addon.app.number,
        port=int(addon.data["port"]),
        plan=addon.plan,
        configuration=configuration,
        log=addon.app.log_folder,
    )


def urls(password: str, port: int) -> dict[str, str]:
    """The values of the config vars, by suffix."""
    place = f":{quote(password, safe='')}@127.0.0.1:{port}"
    return {"_URL": f"redis://{place}", "_TLS_URL": f"rediss://{place}"}


def url_of(addon: Addon, home: Path, suffix: str = "_URL") -> str:
    """The value of the config var with that suffix."""
    return urls(secret_of(addon, home)["password"], int(addon.data["port"]))[suffix]


def info(addon: Addon, home: Path) -> dict[str, Any]:
    """Size, limits and settings, and the server's facts, which are None if it does not answer."""
    it = rules.size(addon.plan)
    found: dict[str, Any] = {
        "name": addon.name,
        "state": addon.state,
        "plan": addon.plan,
        "limit_bytes": it.data_mb * 1_000_000,
        "connection_limit": it.connections,
        "persistent": it.kept,
        "restarts": server_start(addon) - 1,
        **settings_of(addon),
    }
    empty = dict.fromkeys(("version", "connections", "used_bytes", "keys", "evicted_keys", "expired_keys"))
    try:
        with connection(addon, home) as client:
            return {**found, "answers": True, **clients.facts(client)}
    except PlatformError:
        return {**found, "answers": False, **empty}
