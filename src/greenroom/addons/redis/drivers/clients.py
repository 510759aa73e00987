"""The platform's connections to servers, on this machine's 127.0.0.1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import valkey

from greenroom.addons.redis import rules
from greenroom.basics.errors import PlatformError

SECONDS = 5.0


@contextmanager
def connect(port: int, password: str) -> Iterator[valkey.Valkey]:
    """A connection as the platform's user. PlatformError if the server does not answer."""
    client = valkey.Valkey(
        host="127.0.0.1",
        port=port,
        username=rules.USER,
        password=password,
        socket_timeout=SECONDS,
        socket_connect_timeout=SECONDS,
        decode_responses=True,
    )
    try:
        yield client
    except valkey.exceptions.ValkeyError as error:
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
