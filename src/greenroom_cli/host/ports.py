"""The ports of an installation: which component opens each, whether it can, and whether anybody listens there."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from greenroom_cli.host import processes
from greenroom_cli.host.errors import HostError
from greenroom_cli.host.home import Installation

LISTEN = "0A"
"""A socket's state in /proc/net/tcp."""
FIRST_FREE = 1024


@dataclass(frozen=True)
class Port:
    """One port: its name in ``status``, the option that moves it, and the component that listens there at ``bind``."""

    name: str
    number: int
    option: str
    owner: str
    bind: str = "127.0.0.1"


def wanted(install: Installation) -> list[Port]:
    """All ports of the installation."""
    rows = [
        Port("api", install.api_port, "--api-port", "web", install.bind),
        Port("tls", install.tls_port, "--api-port", "web", install.bind),
        Port("rendezvous", install.rendezvous_port, "--api-port", "web", install.bind),
        Port("http", install.http_port, "--http-port", "caddy", install.bind),
        Port("https", install.https_port, "--https-port", "caddy", install.bind),
    ]
    if install.postgres == "embedded":
        rows.insert(3, Port("postgres", install.pg_port, "--api-port", "postgres"))
    if install.proxy_port:
        rows.append(Port("proxy", install.proxy_port, "--proxy-port", "web", install.bind))
    return rows


def check(home: Path, install: Installation) -> None:
    """HostError for the first port that cannot be opened: taken, asked for twice, or reserved for root."""
    seen: dict[int, Port] = {}
    for port in wanted(install):
        if port.number in seen:
            raise HostError(
                f"Port {port.number} is asked for twice: {seen[port.number].name} and {port.name}.",
                f"greenroom up {port.option} N chooses another",
            )
        seen[port.number] = port
        why = trouble(port)
        if why and not (why == errno.EADDRINUSE and processes.known(home, port.owner)):
            raise HostError(explain(port, why), f"greenroom up {port.option} N chooses another")


def trouble(port: Port) -> int:
    """The error number with which this process cannot open the port; 0 if it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((port.bind, port.number))
        except OSError as error:
            return error.errno or errno.EIO
    return 0


def explain(port: Port, why: int) -> str:
    """Why the port cannot be opened, in one line."""
    if why == errno.EADDRINUSE:
        return f"Port {port.number} on {port.bind} is in use by another program."
    if why == errno.EACCES:
        return f"Port {port.number} cannot be opened by an ordinary user: ports below {FIRST_FREE} are root's."
    return f"Port {port.number} on {port.bind} cannot be opened: {os.strerror(why)}."


def are_low(install: Installation, owner: str) -> bool:
    """Whether a component that is not root has to open a port that is root's."""
    return install.mode == "root" and any(port.number < FIRST_FREE for port in wanted(install) if port.owner == owner)


def listened() -> set[int]:
    """The TCP ports of this network namespace on which anybody listens; nobody is connected to."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == LISTEN:
                    found.add(int(words[1].rpartition(":")[2], 16))
    return found


def silent(install: Installation, owner: str = "") -> list[Port]:
    """The ports, of one component or of all, on which nobody listens."""
    open_ports = listened()
    return [port for port in wanted(install) if port.number not in open_ports and owner in ("", port.owner)]
