"""Reads the facts of a store: its server, URLs and state."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import valkey

from greenroom.addons.drivers import service_dynos
from greenroom.addons.models import Addon
from greenroom.addons.queries import secret_of
from greenroom.addons.redis import rules
from greenroom.addons.redis.drivers import clients
from greenroom.addons.redis.drivers.servers import Server
from greenroom.basics import clock
from greenroom.basics.errors import PlatformError


def key_of(addon: Addon) -> str:
    """The key of the server: name of its service and its volume, and beginning of its dynos' ids."""
    return f"redis-{addon.pk.hex}"


def start_of(addon: Addon) -> int:
    """The number of the server's present start, from 1."""
    return int(addon.data.get("starts", 1))


def dyno_of(addon: Addon) -> str:
    """The engine's id of the present server."""
    return service_dynos.dyno_id(key_of(addon), start_of(addon))


def connection(addon: Addon, home: Path) -> AbstractContextManager[valkey.Valkey]:
    """A connection to the store as the platform. PlatformError if its server does not answer."""
    return clients.connect(home, key_of(addon), secret_of(addon, home)["platform"])


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
        key=key_of(addon),
        number=start_of(addon),
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
        "restarts": start_of(addon) - 1,
        **settings_of(addon),
    }
    empty = dict.fromkeys(("version", "connections", "used_bytes", "keys", "evicted_keys", "expired_keys"))
    try:
        with connection(addon, home) as client:
            return {**found, "answers": True, **clients.facts(client)}
    except PlatformError:
        return {**found, "answers": False, **empty}
