"""The ways between a dyno's own network and the outside, opened by the shim while it still may."""

from __future__ import annotations

import os
from time import monotonic

from greenroom.engine.local import bridge, egress, netns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from greenroom.engine.local.loop import Loop
    from greenroom.engine.local.shim import Shim

TCP = "tcp:"
"""A forward to ``tcp:HOST:PORT`` instead of a unix socket's path."""


def split(target: str) -> tuple[bytes, int]:
    """Host and port of ``tcp:HOST:PORT``; an IPv6 host stands in brackets."""
    return egress.split(target.removeprefix(TCP).encode(), 5432)


def open_all(loop: Loop, order: dict[str, Any]) -> list[object]:
    """Enter the dyno's network with a proxy to the world and the forwards, as ordered; what must be kept. Raises
    OSError.
    """
    forwards = order["forwards"]
    outward = bool(order["egress"]) or any(target.startswith(TCP) for _, target in forwards)
    connector = egress.Connector(loop, order["opened"]) if outward else None  # its threads stay in the host's network
    netns.enter_network()
    kept: list[object] = []
    if connector and order["egress"]:
        kept.append(egress.Proxy(loop, bridge.listen(order["egress"]), connector))
    for port, target in forwards:
        listener = bridge.listen(port)
        if connector and target.startswith(TCP):
            kept.append(egress.Outward(loop, listener, connector, *split(target)))
        else:
            kept.append(bridge.Bridge(loop, listener, lambda path=target: bridge.dial_unix(path)))  # type: ignore[misc]
    return kept


def close(way_in: bridge.Bridge, path: str, inode: object) -> None:
    """Remove the dyno's socket and accept no more."""
    try:
        if os.stat(path).st_ino == inode:
            os.unlink(path)  # not when a newer dyno has taken the place
    except OSError:
        pass  # somebody else has removed it
    way_in.close()


DRAIN_LOOK = 0.05
"""Seconds between two looks whether the last connection has ended."""


def drain(shim: Shim, until: float, told: bool = False) -> None:
    """Stop the dyno when all accepted connections have ended, or at ``until``. The router sends nothing new by then."""
    assert shim.tree
    if shim.tree.ended:
        return
    if shim.way_in:
        shim.way_in.take_queued()
    active = shim.way_in.active if shim.way_in else 0
    if not active or monotonic() >= until:
        shim.stop()
        return
    if not told:
        shim.journal.say(f"Waiting for {active} open connection{'s' if active > 1 else ''} before SIGTERM")
    shim.loop.at(DRAIN_LOOK, lambda: drain(shim, until, told=True))
