"""Which targets a dyno may connect to: ``addresses`` for the installation, and the rules of the app.

Checks the address right before each connection or packet, so a changed DNS answer cannot bypass it.
"""

from __future__ import annotations

from _socket import AF_INET, AF_INET6, SOCK_STREAM, getaddrinfo, inet_pton

from greenroom.engine.local import addresses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Opened = Sequence[tuple[str, int]]
    Rule = tuple[str, int]

NAMES = 4096
"""Addresses whose names are remembered."""


class RefusedError(Exception):
    """The connection is not allowed; the text says why."""


class Reach:
    """opened: private networks (address, bits). rules: allowed (host, port), ``*.example.org`` and networks included,
    port 0 for all ports; None: everything.
    """

    def __init__(self, opened: Opened, rules: Sequence[Rule] | None = None) -> None:
        self._opened, self._rules = opened, rules
        self._names: dict[bytes, str] = {}

    def learn(self, name: str, packed: list[bytes]) -> None:
        """Remember what a name was resolved to: rules with a name then hold for these addresses."""
        if self._rules is not None:
            for it in packed:
                self._names.pop(it, None)
                self._names[it] = name
            while len(self._names) > NAMES:
                del self._names[next(iter(self._names))]

    def check(self, target: bytes, port: int) -> None:
        """Raises RefusedError; OSError if there is no route to it."""
        if why := addresses.check(target, self._opened):
            raise RefusedError(why)
        if self._rules is not None and not self._allowed(self._rules, target, port):
            raise RefusedError("the app's egress rules do not allow it (`greenroom egress`)")

    def _allowed(self, rules: Sequence[Rule], target: bytes, port: int) -> bool:
        hosts = [host for host, allowed in rules if allowed in (0, port)]
        return any(self._is(host, target) for host in hosts)

    def _is(self, host: str, target: bytes) -> bool:
        if "/" in host:
            net, _, bits = host.partition("/")
            return (":" in net) == (len(target) == 16) and addresses.within(target, net, int(bits))
        name = self._names.get(target, "")
        if host.startswith("*."):
            return name.endswith(host[1:])
        return name == host or target in _resolved(host)


def _resolved(host: str) -> list[bytes]:
    try:
        found = getaddrinfo(host.encode(), 0, 0, SOCK_STREAM)  # as bytes: the codec of a text costs a megabyte
    except OSError:
        return []
    return [inet_pton(it[0], str(it[4][0]).partition("%")[0]) for it in found if it[0] in (AF_INET, AF_INET6)]
