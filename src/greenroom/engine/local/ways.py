"""The ways between a dyno's own network and the outside, opened by the shim while it still may."""

from __future__ import annotations

from greenroom.engine.local import bridge, egress, netns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from greenroom.engine.local.loop import Loop

TCP = "tcp:"
"""A forward to ``tcp:HOST:PORT`` instead of a unix socket's path."""


def split(target: str) -> tuple[bytes, int]:
    """Host and port of ``tcp:HOST:PORT``; an IPv6 host stands in brackets."""
    return egress.split(target.removeprefix(TCP).encode(), 5432)


def open_all(loop: Loop, order: dict[str, Any]) -> list[object]:
    """Enter the dyno's network with a proxy to the world and the forwards, as ordered; what must be kept. Raises OSError."""
    forwards = order["forwards"]
    outward = bool(order["egress"]) or any(target.startswith(TCP) for _, target in forwards)
    connector = egress.Connector(loop) if outward else None  # its threads stay in the host's network
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
