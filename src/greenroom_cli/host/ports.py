"""The ports of an installation: their components, whether they are free, and whether they are listening."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from greenroom.basics import handover
from greenroom_cli.host import processes
from greenroom_cli.host.errors import HostError
from greenroom_cli.host.home import Installation

LISTEN = "0A"
"""A socket's state in /proc/net/tcp."""
FIRST_FREE = 1024


@dataclass(frozen=True)
class Port:
    """A port: its name in ``status``, the option that sets it, and the component that listens on it at ``bind``."""

    name: str
    number: int
    option: str
    owner: str
    bind: str = "127.0.0.1"


def wanted(install: Installation) -> list[Port]:
    """All ports of the installation."""
    api = install.api_bind or install.bind
    rows = [
        Port("api", install.api_port, "--api-port", "web", api),
        Port("tls", install.tls_port, "--api-port", "web", api),
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
    """HostError for the first port that is in use, assigned twice, or reserved for root."""
    seen: dict[int, Port] = {}
    for port in wanted(install):
        if port.number in seen:
            raise HostError(
                f"Port {port.number} is assigned twice: {seen[port.number].name} and {port.name}.",
                f"choose another: greenroom up {port.option} N",
            )
        seen[port.number] = port
        why = trouble(port)
        if why and not (why == errno.EADDRINUSE and _is_held(home, port)):
            raise HostError(explain(port, why), f"choose another: greenroom up {port.option} N")


def _is_held(home: Path, port: Port) -> bool:
    """Whether the port's component is running, or an upgrade holds its port for it."""
    return processes.known(home, port.owner) is not None or (port.owner == "web" and handover.is_offered(home))


def trouble(port: Port) -> int:
    """The errno of binding the port in this process; 0 if it succeeds."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((port.bind, port.number))
        except OSError as error:
            return error.errno or errno.EIO
    return 0


def explain(port: Port, why: int) -> str:
    """The message for a port that cannot be opened."""
    if why == errno.EADDRINUSE:
        return f"Port {port.number} on {port.bind} is in use by another program."
    if why == errno.EACCES:
        return f"Cannot open port {port.number}: ports below {FIRST_FREE} require root."
    return f"Cannot open port {port.number} on {port.bind}: {os.strerror(why)}."


def are_low(install: Installation, owner: str) -> bool:
    """Whether a component that does not run as root has to open a port below 1024."""
    return install.mode == "root" and any(port.number < FIRST_FREE for port in wanted(install) if port.owner == owner)


def listened() -> set[int]:
    """The listening TCP ports of this network namespace, read from /proc without connecting."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTEN:
                    found.add(int(fields[1].rpartition(":")[2], 16))
    return found


def silent(install: Installation, owner: str = "") -> list[Port]:
    """The ports, of one component or of all, that are not listening."""
    open_ports = listened()
    return [port for port in wanted(install) if port.number not in open_ports and owner in ("", port.owner)]
