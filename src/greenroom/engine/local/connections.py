"""The connections between a dyno's own network and the outside. The shim opens them before it drops its privileges."""

from __future__ import annotations

from _socket import AF_INET6, inet_pton, socket

from greenroom.engine.local import addresses, bridge, egress, forward_tls, netns
from greenroom.engine.local.reach import Reach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from greenroom.engine.local import gateway
    from greenroom.engine.local.loop import Loop

TCP = "tcp:"
"""Prefix of a forward to ``tcp:HOST:PORT`` instead of a unix socket's path."""
_SOMEWHERE = inet_pton(AF_INET6, "2000::1")
"""An address of the internet."""


def split(target: str) -> tuple[bytes, int]:
    """Host and port of ``tcp:HOST:PORT``; an IPv6 host is in brackets."""
    return egress.split(target.removeprefix(TCP).encode(), 5432)


class Connections:
    """The way out of a dyno, its forwards, and its listener on the host.

    outside: the listener of a service on the host's 127.0.0.1, or None. certificate: for clients that ask for TLS.
    gateway: None on a host without one.
    """

    def __init__(self, loop: Loop, order: dict[str, Any]) -> None:
        """Enter the dyno's network and open all of the order: the way out and the forwards. Raises OSError."""
        targets = [target for _, target in order["forwards"]]
        self.outside = _listen_outside(order.get("host_port", 0))  # a supervisor of an earlier version sends none
        through = bool(order.get("gateway"))
        outward = through or order["egress"] or any(target.startswith(TCP) for target in targets)
        connector = egress.Connector(loop) if outward else None  # its threads stay in the host's network
        ipv6 = through and _has_ipv6()
        netns.enter_network()
        pem = order.get("certificate", b"")
        self.certificate = forward_tls.Certificate(pem) if pem and (targets or self.outside) else None
        self.gateway: gateway.Gateway | None = None
        self._kept: list[object] = []
        if connector:
            self._open_outward(loop, order, connector, ipv6)
        for port, target in order["forwards"]:
            listener = bridge.listen(port)
            if connector and target.startswith(TCP):
                self._kept.append(egress.Outward(loop, listener, connector, *split(target)))
            else:
                dial = lambda path=target: bridge.dial_unix(path)  # noqa: E731
                self._kept.append(door(loop, listener, dial, self.certificate))

    def _open_outward(self, loop: Loop, order: dict[str, Any], connector: egress.Connector, ipv6: bool) -> None:
        reach = Reach(order["opened"], order.get("allowed"))
        if order.get("gateway"):
            from greenroom.engine.local import gateway  # not in every dyno; imports cost memory in each shim

            self.gateway = gateway.Gateway(loop, connector, reach, ipv6=ipv6)
        elif order["egress"]:
            self._kept.append(egress.Proxy(loop, bridge.listen(order["egress"]), connector, reach))

    def log_to(self, say: Callable[[str], None]) -> None:
        """Write refused connections to the app's log, or where ``say`` writes."""
        if self.gateway:
            self.gateway.say = say


def _has_ipv6() -> bool:
    """Whether the host has a route to the internet of IPv6. In the host's network."""
    try:
        return not addresses.route_refusal(_SOMEWHERE)
    except OSError:
        return False


def _listen_outside(port: int) -> socket | None:
    """A listener on 127.0.0.1 of the host's network; None without a port, or if it is taken."""
    try:
        return bridge.listen(port) if port else None
    except OSError:
        return None


def door(loop: Loop, listener: socket, dial: bridge.Dial, certificate: forward_tls.Certificate | None) -> bridge.Bridge:
    """Serve a listener; with a certificate, also clients that ask for TLS."""
    return forward_tls.Door(loop, listener, dial, certificate) if certificate else bridge.Bridge(loop, listener, dial)
