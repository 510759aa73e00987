"""Limits unauthenticated connections, per address and in total. At a limit, the connection that has been idle for
longest is closed in favour of the new one, so that no address can block others.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Hashable


def neighbours(address: str) -> str:
    """The address for counting: of IPv6 its /64 network, which belongs to a single customer."""
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(found.ipv4_mapped or ipaddress.IPv6Network((found, 64), strict=False).network_address)


class Crowd:
    """Strangers by the order of their last sign of life. ``each``: the most of one address; ``most``: of all."""

    def __init__(self, each: int, most: int) -> None:
        self.each, self.most = each, most
        self._waiting: dict[Hashable, tuple[str, Callable[[], object]]] = {}
        self._of: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, who: Hashable, address: str, leave: Callable[[], object]) -> None:
        """Let a stranger wait. ``leave`` is called when it is sent away for others."""
        self.left(who)
        address = neighbours(address)
        self._waiting[who] = (address, leave)
        self._of[address] += 1
        if self._of[address] > self.each:
            self._send_away(address)
        elif len(self._waiting) > self.most:
            self._send_away(max(self._of, key=self._of.__getitem__))

    def stirred(self, who: Hashable) -> None:
        """The stranger has said something: now it is the last that would be sent away."""
        entry = self._waiting.pop(who, None)
        if entry:
            self._waiting[who] = entry

    def left(self, who: Hashable) -> None:
        """It waits no longer: it has shown who it is, or has gone."""
        entry = self._waiting.pop(who, None)
        if entry is None:
            return
        self._of[entry[0]] -= 1
        if self._of[entry[0]] <= 0:
            del self._of[entry[0]]

    def _send_away(self, address: str) -> None:
        who = next(key for key, (of, _) in self._waiting.items() if of == address)
        leave = self._waiting[who][1]
        self.left(who)
        leave()
