"""Tells systemd that the host process is ready (sd_notify), so that ``systemctl start`` returns when apps answer."""

from __future__ import annotations

import contextlib
import os
import socket

VARIABLE = "NOTIFY_SOCKET"


def tell_ready() -> None:
    """Send READY=1 to the socket in $NOTIFY_SOCKET, if it is set. A service manager that has gone is ignored."""
    place = os.environ.pop(VARIABLE, "")
    if not place.startswith(("/", "@")):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.connect("\0" + place[1:] if place[0] == "@" else place)
        sock.sendall(b"READY=1\nSTATUS=up")
