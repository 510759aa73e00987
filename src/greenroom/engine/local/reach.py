"""Which targets a dyno may connect to: ``addresses`` for the installation, and the rules of the app.

Checks the address right before each connection or packet, so a changed DNS answer cannot bypass it.
"""

from __future__ import annotations

import _thread
from _socket import AF_INET, AF_INET6, SOCK_STREAM, getaddrinfo
from time import monotonic

from greenroom.engine.local import addresses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Opened = Sequence[tuple[str, int]]
    Rule = tuple[str, int]

NAMES = 4096
"""Addresses whose names are remembered."""
KEPT_SECONDS = 3600.0
"""Time for which an address of an allowed name stays allowed after the look-up."""
AGAIN_SECONDS, LOOK_SECONDS = 10.0, 5.0
"""A refused target makes the shim look up the names of the rules, each once in the first time; a round of look-ups
starts none after the second time."""
_MAPPED = bytes(10) + b"\xff\xff"


class RefusedError(Exception):
    """The connection is not allowed; the text says why."""


class Rules:
    """The allowed targets of an app (host, port): names, ``*.example.org``, addresses and networks; port 0: all ports.

    A rule with a name holds for the addresses to which the dyno's own look-ups led. All methods may block in look-ups
    and may be called in any thread.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._networks: list[tuple[int, int, int, int]] = []
        self._names: dict[str, set[int]] = {}
        self._zones: list[tuple[str, int]] = []
        self._known: dict[tuple[bytes, int], float] = {}
        self._last: dict[bytes, str] = {}
        self._looked: dict[str, float] = {}
        self._lock, self._looking = _thread.allocate_lock(), _thread.allocate_lock()
        for host, port in rules:
            self._add(host, port)

    def _add(self, host: str, port: int) -> None:
        if host.startswith("*."):
            self._zones.append((host[1:], port))
        elif "/" in host or ":" in host or host.replace(".", "").isdigit():
            net, _, bits = host.partition("/")
            packed = addresses.packed(net)
            shift = len(packed) * 8 - int(bits) if bits else 0
            self._networks.append((len(packed), int.from_bytes(packed, "big") >> shift, shift, port))
        else:
            self._names.setdefault(host, set()).add(port)

    def learn(self, name: str, packed: list[bytes]) -> None:
        """Remember the addresses of a name that the dyno looked up. Ignores what is no host name: resolvers read ``\\``
        and NUL in their own way, so the rules' end of such a name need not be the end of the name that was resolved.
        """
        name = name.lower().rstrip(".")
        if not _is_host_name(name):
            return
        ports = self._names.get(name, set()) | {port for zone, port in self._zones if name.endswith(zone)}
        until = monotonic() + KEPT_SECONDS
        with self._lock:
            for it in packed:
                self._last.pop(it, None)
                self._last[it] = name
                for port in ports:
                    self._known.pop((it, port), None)
                    self._known[it, port] = until
            _cut(self._last)
            _cut(self._known)

    def allow(self, target: bytes, port: int) -> bool:
        """Whether the rules allow the target. An unknown address costs a look-up of the rules' names, now and then."""
        if target.startswith(_MAPPED):
            target = target[12:]
        number = int.from_bytes(target, "big")
        for size, net, shift, allowed in self._networks:
            if size == len(target) and allowed in (0, port) and number >> shift == net:
                return True
        return self._is_known(target, port) or (self._look_up(port) and self._is_known(target, port))

    def _is_known(self, target: bytes, port: int) -> bool:
        now = monotonic()
        return self._known.get((target, port), 0.0) > now or self._known.get((target, 0), 0.0) > now

    def _look_up(self, port: int) -> bool:
        """Resolve the names that a rule allows for the port. One thread at a time: others profit from its answers."""
        names = [name for name, ports in self._names.items() if ports & {0, port}]
        if not names:
            return False
        with self._looking:
            began = monotonic()
            for name in names:
                now = monotonic()
                if now - began > LOOK_SECONDS:
                    break
                if now - self._looked.get(name, -AGAIN_SECONDS) >= AGAIN_SECONDS:
                    self.learn(name, _resolved(name))
                    self._looked[name] = monotonic()
        return True

    def advice(self, target: bytes, port: int) -> str:
        """The reason of a refusal, with the name by which the dyno looked the address up."""
        host = self._last.get(target) or addresses.text(target)
        shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return f"the app's egress rules do not allow it (to allow it: greenroom egress:allow {shown})"


class Reach:
    """opened: private networks (address, bits). rules: the allowed targets of the app; None: all."""

    def __init__(self, opened: Opened, rules: Sequence[Rule] | None = None) -> None:
        self._opened = opened
        self._rules = None if rules is None else Rules(rules)

    def learn(self, name: str, packed: list[bytes]) -> None:
        """Remember what a name was resolved to: rules with a name then hold for these addresses."""
        if self._rules:
            self._rules.learn(name, packed)

    def check(self, target: bytes, port: int) -> None:
        """Raises RefusedError; OSError if there is no route to it."""
        if why := addresses.refusal(target, self._opened):
            raise RefusedError(why)
        if self._rules and not self._rules.allow(target, port):
            raise RefusedError(self._rules.advice(target, port))
        if why := addresses.route_refusal(target):
            raise RefusedError(why)


def _is_host_name(name: str) -> bool:
    plain = name.replace("-", "").replace(".", "").replace("_", "")
    return name.isascii() and plain.isalnum() and len(name) < 254


def _cut(kept: dict[Any, Any]) -> None:
    """Forget the oldest entries."""
    while len(kept) > NAMES:
        del kept[next(iter(kept))]


def _resolved(host: str) -> list[bytes]:
    try:
        found = getaddrinfo(host.encode(), 0, 0, SOCK_STREAM)  # as bytes: the codec of a text costs a megabyte
    except OSError:
        return []
    return [addresses.packed(str(it[4][0]).partition("%")[0]) for it in found if it[0] in (AF_INET, AF_INET6)]
