"""The server of a store as a dyno: its spec, its start, and its end. Every function is idempotent."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from pathlib import Path

from greenroom.addons.redis import rules
from greenroom.addons.redis.drivers import program
from greenroom.basics.errors import PlatformError
from greenroom.engine import names
from greenroom.engine.contract import DynoSpec, DynoState, Engine, Forward, Limits, Mount

START_SECONDS = 10.0
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


def dyno_id(key: str, number: int) -> str:
    """The engine's id of the server's start of that number."""
    return f"{key}-{number}"


def is_unused(port: int) -> bool:
    """Whether no program of this machine listens on the port of 127.0.0.1, for example another installation."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def forward(key: str, port: int) -> Forward:
    """The forward from a dyno to a server."""
    return Forward(port=port, service=names.service(key))


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


def listens(engine: Engine, dyno: str, *, seconds: float) -> bool:
    """Wait until the server accepts connections. PlatformError if it has ended."""
    deadline = time.monotonic() + seconds
    while True:
        state = engine.describe(dyno)
        if state and state.listening:
            return True
        if state and state.ended:
            words = state.last_words.strip().splitlines()[-1:] or [state.detail]
            raise PlatformError(f"The server did not start: {words[0][:300]}", hint="greenroom logs -a APP --ps redis")
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)


def remove(engine: Engine, *, key: str, numbers: range, volume: str) -> None:
    """End the server and remove its data."""
    for number in numbers:
        engine.forget(dyno_id(key, number))
    engine.discard(volume)
