"""Rules of the key-value service: plans, settings, the server's configuration, and ports. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from greenroom.addons.rules.services import Plan, Service
from greenroom.basics.errors import UserError

PORTS = range(16_400, 21_000)
"""TCP ports of the servers, inside dynos and on this machine's 127.0.0.1: one for each add-on."""
INSIDE = 6379
"""The port in the server's own dyno."""
USER = "greenroom"
"""The server's user for the platform. The app is ``default`` and may not change the server's configuration."""
SPARE = 5
"""Connections beside the plan's, for the platform."""
OVERHEAD_MB = 48
"""Memory of the server beside its data. The dyno may use twice the data: a save writes from a copy."""

POLICIES = {
    "noeviction": "return errors when memory limit is reached",
    "allkeys-lru": "evict less recently used keys first",
    "volatile-lru": "evict less recently used keys with an expiry set first",
    "allkeys-random": "evict random keys",
    "volatile-random": "evict random keys but only those with an expiry set",
    "volatile-ttl": "evict keys with an expiry set and a short TTL",
    "allkeys-lfu": "evict less frequently used keys first",
    "volatile-lfu": "evict less frequently used keys with an expiry set first",
}
"""Eviction policy -> its meaning."""
EVENTS = re.compile(r"[KEg$lshzxetmdnA]{0,20}\Z")
LONGEST_TIMEOUT = 86_400 * 7


@dataclass(frozen=True)
class Size:
    """data_mb: limit of the data; connections: of clients; kept: whether the data survives a restart of the server."""

    data_mb: int
    connections: int
    kept: bool


SIZES = {
    "mini": Size(25, 20, kept=False),
    "premium-0": Size(50, 40, kept=True),
    "premium-1": Size(100, 80, kept=True),
    "premium-2": Size(250, 200, kept=True),
    "premium-3": Size(500, 400, kept=True),
}
"""Plan -> size, as on Heroku."""
DEFAULTS: dict[str, Any] = {"maxmemory_policy": "noeviction", "timeout": 300, "notify_keyspace_events": ""}


def size(plan: str) -> Size:
    """The size of ``heroku-redis:mini``; of the smallest plan for an unknown one."""
    return SIZES.get(plan.partition(":")[2], SIZES["mini"])


def _plans() -> Iterable[Plan]:
    for number, (name, it) in enumerate(SIZES.items(), start=0x21):
        human = name.replace("-", " ").title()
        text = f"{it.data_mb} MB, {it.connections} connections, {'persistent' if it.kept else 'in memory only'}"
        yield Plan(id=f"00000000-0000-4000-8000-0000000000{number:x}", name=name, human_name=human, description=text)


SERVICE = Service(
    kind="redis",
    id="00000000-0000-4000-8000-000000000020",
    name="heroku-redis",
    human_name="Key-Value Store",
    noun="key-value store",
    promote="heroku redis:promote",
    aliases=("heroku-key-value-store", "redis", "valkey"),
    words=("redis", "valkey", "keydb", "key-value", "memcached", "memcachier"),
    plans=tuple(_plans()),
    attachment="REDIS",
    further="HEROKU_REDIS",
    variables=("_URL", "_TLS_URL"),
    nowhere={"_URL": "redis://127.0.0.1:1", "_TLS_URL": "rediss://127.0.0.1:1"},
    size_command="heroku redis:info",
)


def free_ports(taken: Collection[int], first: int) -> Iterable[int]:
    """The free ports, from ``first`` on, then from the beginning."""
    order = (PORTS[(first - PORTS.start + step) % len(PORTS)] for step in range(len(PORTS)))
    return (port for port in order if port not in taken)


def settings(changes: Mapping[str, object]) -> dict[str, Any]:
    """Checked changes of the settings. UserError that says what is allowed."""
    unknown = sorted(set(changes) - set(DEFAULTS))
    if unknown or not changes:
        raise UserError(f"{unknown[:1] or 'nothing'} cannot be changed.", hint=f"settings: {', '.join(DEFAULTS)}")
    found: dict[str, Any] = {}
    for name, value in changes.items():
        found[name] = _CHECKS[name](value)
    return found


def _policy(value: object) -> str:
    if value not in POLICIES:
        raise UserError(f"{str(value)[:40]!r} is not an eviction policy.", hint=f"policies: {', '.join(POLICIES)}")
    return str(value)


def _timeout(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LONGEST_TIMEOUT:
        raise UserError("timeout is a number of seconds.", hint=f"0 (never) to {LONGEST_TIMEOUT}")
    return value


def _events(value: object) -> str:
    if not isinstance(value, str) or not EVENTS.match(value):
        raise UserError("notify_keyspace_events is a string of event letters.", hint="for example: AKE, Ex, or empty")
    return value


_CHECKS = {"maxmemory_policy": _policy, "timeout": _timeout, "notify_keyspace_events": _events}


def digest(password: str) -> str:
    """A password as the server's access list stores it."""
    return "#" + hashlib.sha256(password.encode()).hexdigest()


def access(passwords: Sequence[str]) -> list[str]:
    """The rights of the app's user: all commands except those that change the server itself."""
    rights = ("on", "resetpass", *map(digest, passwords), "~*", "&*", "+@all", "-@admin", "+monitor", "+slowlog")
    return [*rights, "+client", "-client|kill", "+config|get", "+latency", "-debug", "-module", "-cluster"]


def configuration(*, plan: str, settings: Mapping[str, Any], passwords: Sequence[str], platform: str) -> bytes:
    """The server's configuration file.

    passwords: of the app, the current one first; platform: the password of the platform's user.
    """
    it, own = size(plan), {**DEFAULTS, **settings}
    lines = [
        f"port {INSIDE}",
        "bind 127.0.0.1",
        "protected-mode no",
        "dir /data",
        "loglevel warning",
        'save ""',
        f"appendonly {'yes' if it.kept else 'no'}",
        f"maxmemory {it.data_mb}mb",
        f"maxmemory-policy {own['maxmemory_policy']}",
        f"maxclients {it.connections + SPARE}",
        f"timeout {own['timeout']}",
        f'notify-keyspace-events "{own["notify_keyspace_events"]}"',
        "tcp-keepalive 60",
        f"user default {' '.join(access(passwords))}",
        f"user {USER} on {digest(platform)} ~* &* +@all",
    ]
    return "\n".join([*lines, ""]).encode()
