"""The way in of a dyno with a port: from its first answer until its last connection has ended."""

from __future__ import annotations

import os
from _socket import AF_INET, AF_INET6, AF_UNIX, SOCK_STREAM, socket
from time import monotonic

from greenroom.basics import unixsock
from greenroom.engine.local import bridge, netns
from greenroom.engine.local.connections import door
from greenroom.engine.local.web_connections import WayIn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from greenroom.engine.local.kept_dyno import KeptDyno

PORT_LOOKS = ((2.0, 0.01), (15.0, 0.05), (float("inf"), 0.2))
"""(seconds since the start, interval in seconds) of the checks whether the port has been bound."""
SOCKET_MODE, SERVICE_MODE = 0o660, 0o666
"""Modes of a dyno's socket: for the router; of a service: for the shims of all dynos."""


def close(shim: KeptDyno) -> None:
    """Remove the dyno's socket and stop accepting, if it ever accepted."""
    if not shim.way_in:
        return
    path = shim.order["socket"]
    try:
        if os.stat(path).st_ino == shim.state.values["socket_inode"]:
            os.unlink(path)  # unless a newer dyno has replaced it
    except OSError:
        pass  # already removed
    shim.way_in.close()


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
    dial = lambda: bridge.dial(family, address)  # noqa: E731
    if shim.order.get("shared"):
        shim.way_in = bridge.Bridge(shim.loop, sock, dial, shim.count)
    else:
        idle = shim.limits.get("idle", 0.0)  # a supervisor of an earlier version sends none
        shim.way_in = WayIn(shim.loop, sock, dial, shim.count, idle=idle, say=shim.journal.say)
    if outside := shim.connections.outside:
        door(shim.loop, outside, dial, shim.connections.certificate)  # the loop keeps it
    return True


DRAIN_LOOK = 0.05
"""Seconds between two checks whether the last request has ended."""
FAREWELL, OF_GRACE = 5.0, 1 / 6
"""Seconds after SIGTERM, and the part of the grace period, for an app to end its long-lived connections itself."""


def drain(shim: KeptDyno, until: float, told: bool = False) -> None:
    """Stop the dyno when all accepted requests have ended, or at ``until``. The router sends no new ones by then.

    Long-lived connections do not end by themselves: the app ends them when it gets SIGTERM, or ``stop_streams`` does.
    """
    assert shim.tree
    if shim.tree.ended:
        return
    if shim.way_in:
        shim.way_in.take_queued()
    active = shim.way_in.active if shim.way_in else 0
    if isinstance(shim.way_in, WayIn):
        active = shim.way_in.requests
    if not active or monotonic() >= until:
        shim.stop()
        return
    if not told:
        shim.journal.say(f"Waiting for {active} open request{'s' if active > 1 else ''} before SIGTERM")
    shim.loop.at(DRAIN_LOOK, lambda: drain(shim, until, told=True))


def stop_streams(shim: KeptDyno) -> None:
    """End the long-lived connections properly, some seconds after SIGTERM, which the app gets now."""
    if isinstance(shim.way_in, WayIn):
        shim.way_in.stop(min(FAREWELL, shim.limits["grace"] * OF_GRACE))
