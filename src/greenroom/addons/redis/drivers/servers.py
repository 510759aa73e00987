"""The server of a store as a dyno: its spec and its start."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from greenroom.addons.drivers.service_dynos import dyno_id
from greenroom.addons.redis import rules
from greenroom.addons.redis.drivers import program
from greenroom.engine import names
from greenroom.engine.contract import DynoSpec, DynoState, Engine, Limits, Mount

PROCESS = "redis"


@dataclass(frozen=True, kw_only=True)
class Server:
    """A store's server. key: unique, the name of its service, its volume and its dynos; number: of the start.

    owner, uid: of the app. port: inside the dynos of apps, and on this machine with ``on_host``. volume: its data.
    """

    key: str
    number: int
    owner: str
    uid: int
    port: int
    plan: str
    configuration: bytes
    log: str = ""
    on_host: bool = True

    @property
    def dyno(self) -> str:
        """The engine's id."""
        return dyno_id(self.key, self.number)

    @property
    def volume(self) -> str:
        """The volume of its data."""
        return names.volume(self.owner, self.key)


def is_unused(port: int) -> bool:
    """Whether no program of this machine listens on the port of 127.0.0.1, for example another installation."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def start(engine: Engine, server: Server, home: Path) -> DynoState:
    """Start the server, or describe it. PlatformError without a program; EngineError."""
    it = rules.size(server.plan)
    data = Mount(target="/data", source=server.volume if it.kept else names.scratch("data"), mode="rw")
    return engine.start(
        DynoSpec(
            id=server.dyno,
            kind="service",
            owner=server.owner,
            uid=server.uid,
            process=PROCESS,
            command=(program.PROGRAM, "-"),
            stdin=server.configuration,
            cwd="/data",
            mounts=(data, program.mount(home)),
            port=rules.INSIDE,
            service=names.service(server.key),
            host_port=server.port if server.on_host else 0,
            egress=False,
            limits=Limits(memory_mb=2 * it.data_mb + rules.OVERHEAD_MB, pids=32, boot=60.0, grace=20.0),
            log=server.log,
        )
    )
