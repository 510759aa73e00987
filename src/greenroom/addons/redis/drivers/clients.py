"""The platform's connections to servers, through the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from socket import socket as Socket  # noqa: N812
from typing import Any

import valkey

from greenroom.addons.drivers.engines import engine
from greenroom.addons.redis import rules
from greenroom.basics.errors import PlatformError
from greenroom.engine import names

SECONDS = 5.0


class Connection(valkey.Connection):
    """A connection whose socket ``dial`` opens."""

    def __init__(self, *, dial: Callable[[], Socket], **values: Any) -> None:
        super().__init__(**values)
        self.dial = dial

    def _connect(self) -> Socket:
        return self.dial()


@contextmanager
def connect(home: Path, key: str, password: str) -> Iterator[valkey.Valkey]:
    """A connection as the platform's user to the server of that key. PlatformError if it does not answer."""
    dial = partial(engine(home).connect, names.service(key), timeout=SECONDS)
    pool = valkey.ConnectionPool(
        connection_class=Connection, dial=dial, username=rules.USER, password=password, decode_responses=True
    )
    client = valkey.Valkey.from_pool(pool)
    try:
        yield client
    except (valkey.exceptions.ValkeyError, OSError) as error:
        raise PlatformError(f"The key-value store does not answer: {error}", hint="heroku redis:wait") from error
    finally:
        client.close()


def facts(client: valkey.Valkey) -> dict[str, Any]:
    """version, connections of the app, bytes of the data, keys, evicted and expired keys."""
    info: dict[str, Any] = client.info()  # type: ignore[assignment]
    keys = sum(row["keys"] for name, row in info.items() if name.startswith("db") and isinstance(row, dict))
    return {
        "version": str(info.get("valkey_version") or info.get("redis_version")),
        "connections": max(0, int(info["connected_clients"]) - 1),
        "used_bytes": int(info["used_memory"]),
        "keys": keys,
        "evicted_keys": int(info["evicted_keys"]),
        "expired_keys": int(info["expired_keys"]),
    }


def apply(client: valkey.Valkey, settings: dict[str, Any]) -> None:
    """Set the settings in the running server."""
    for name, value in settings.items():
        client.config_set(name.replace("_", "-"), value)


def set_passwords(client: valkey.Valkey, passwords: list[str]) -> None:
    """Set the passwords of the app's user. Open connections continue."""
    client.execute_command("ACL", "SETUSER", "default", *rules.access(passwords))
