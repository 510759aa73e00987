"""The connections between a dyno's own network and the outside, opened by the shim before it drops its privileges."""

from __future__ import annotations

import os
from _socket import AF_INET, AF_INET6, AF_UNIX, SOCK_STREAM, socket
from time import monotonic

from greenroom.basics import unixsock
from greenroom.engine.local import bridge, egress, forward_tls, netns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from greenroom.engine.local.kept_dyno import KeptDyno
    from greenroom.engine.local.loop import Loop

TCP = "tcp:"
"""Prefix of a forward to ``tcp:HOST:PORT`` instead of a unix socket's path."""


PORT_LOOKS = ((2.0, 0.01), (15.0, 0.05), (float("inf"), 0.2))
"""(seconds since the start, interval in seconds) of the checks whether the port has been bound."""
SOCKET_MODE, SERVICE_MODE = 0o660, 0o666
"""Modes of a dyno's socket: for the router; of a service: for the shims of all dynos."""


def split(target: str) -> tuple[bytes, int]:
    """Host and port of ``tcp:HOST:PORT``; an IPv6 host is in brackets."""
    return egress.split(target.removeprefix(TCP).encode(), 5432)


def open_all(loop: Loop, order: dict[str, Any]) -> list[object]:
    """Enter the dyno's network with the egress proxy and the forwards of the order. Returns objects to keep alive.

    A forward to a unix socket speaks TLS with clients that ask for it. Raises OSError.
    """
    forwards = order["forwards"]
    outward = bool(order["egress"]) or any(target.startswith(TCP) for _, target in forwards)
    connector = egress.Connector(loop, order["opened"]) if outward else None  # its threads stay in the host's network
    order["outside"] = _listen_outside(order.get("host_port", 0))  # a supervisor of an earlier version sends none
    netns.enter_network()
    pem = order.get("certificate", b"")
    certificate = order["tls"] = forward_tls.Certificate(pem) if pem and (forwards or order["outside"]) else None
    kept: list[object] = []
    if connector and order["egress"]:
        kept.append(egress.Proxy(loop, bridge.listen(order["egress"]), connector))
    for port, target in forwards:
        listener = bridge.listen(port)
        if connector and target.startswith(TCP):
            kept.append(egress.Outward(loop, listener, connector, *split(target)))
        else:
            dial = lambda path=target: bridge.dial_unix(path)  # noqa: E731
            kept.append(_door(loop, listener, dial, certificate))
    return kept


def _listen_outside(port: int) -> socket | None:
    """A listener on 127.0.0.1 of the host's network; None without a port, or if it is taken."""
    try:
        return bridge.listen(port) if port else None
    except OSError:
        return None


def _door(
    loop: Loop, listener: socket, dial: bridge.Dial, certificate: forward_tls.Certificate | None
) -> bridge.Bridge:
    return forward_tls.Door(loop, listener, dial, certificate) if certificate else bridge.Bridge(loop, listener, dial)


def close(way_in: bridge.Bridge, path: str, inode: object) -> None:
    """Remove the dyno's socket and stop accepting."""
    try:
        if os.stat(path).st_ino == inode:
            os.unlink(path)  # unless a newer dyno has replaced it
    except OSError:
        pass  # already removed
    way_in.close()


def await_port(shim: KeptDyno, since: float) -> None:
    """Poll until the process has bound its port, then open its socket for the router."""
    if shim.over:
        return
    if host := netns.has_listener(shim.order["port"]):
        if not shim.order["socket"] or _open_way_in(shim, host):
            shim.bound()
        return
    pause = next(pause for until, pause in PORT_LOOKS if monotonic() - since < until)
    shim.loop.at(pause, lambda: await_port(shim, since))


def _open_way_in(shim: KeptDyno, host: str) -> bool:
    """Serve the dyno's socket. False if that fails, which ends the dyno."""
    path, address = shim.order["socket"], (host, shim.order["port"])
    family = AF_INET6 if ":" in host else AF_INET
    sock = socket(AF_UNIX, SOCK_STREAM, 0)
    try:
        mode = SERVICE_MODE if shim.order.get("shared") else SOCKET_MODE
        unixsock.place(sock, path, mode, 4096)  # type: ignore[arg-type]
    except OSError as error:
        sock.close()
        shim.end_by("start", f"the socket {path} cannot be made: {error.strerror}")
        return False
    shim.state.values["socket_inode"] = os.stat(path).st_ino
    shim.way_in = bridge.Bridge(shim.loop, sock, lambda: bridge.dial(family, address), shim.count)
    if outside := shim.order["outside"]:
        _door(shim.loop, outside, lambda: bridge.dial(family, address), shim.order["tls"])  # the loop keeps it
    return True


DRAIN_LOOK = 0.05
"""Seconds between two checks whether the last connection has ended."""


def drain(shim: KeptDyno, until: float, told: bool = False) -> None:
    """Stop the dyno when all accepted connections have ended, or at ``until``. The router sends no new ones by then."""
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
