"""The way in of a dyno with a port: from its first answer until its last connection has ended."""

from __future__ import annotations

import os
from _socket import AF_INET, AF_INET6, AF_UNIX, SOCK_STREAM, socket
from time import monotonic

from greenroom.basics import unixsock
from greenroom.engine.local import bridge, netns
from greenroom.engine.local.connections import door

TYPE_CHECKING = False
if TYPE_CHECKING:
    from greenroom.engine.local.kept_dyno import KeptDyno

PORT_LOOKS = ((2.0, 0.01), (15.0, 0.05), (float("inf"), 0.2))
"""(seconds since the start, interval in seconds) of the checks whether the port has been bound."""
SOCKET_MODE, SERVICE_MODE = 0o660, 0o666
"""Modes of a dyno's socket: for the router; of a service: for the shims of all dynos."""


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
    if outside := shim.connections.outside:
        door(
            shim.loop, outside, lambda: bridge.dial(family, address), shim.connections.certificate
        )  # the loop keeps it
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
