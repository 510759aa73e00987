"""The server of a trap as a dyno."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greenroom.addons.drivers import service_dynos
from greenroom.addons.mail import rules
from greenroom.addons.mail.drivers import program
from greenroom.engine import host_python, names
from greenroom.engine.contract import DynoSpec, DynoState, Engine, Limits, Mount

PROCESS = "mail"


@dataclass(frozen=True, kw_only=True)
class Server:
    """A trap's server. key: unique, the name of its service, its volume and its dynos; number: of the start.

    owner, uid: of the app.
    """

    key: str
    number: int
    owner: str
    uid: int
    plan: str
    configuration: Mapping[str, Any]
    log: str = ""


def start(engine: Engine, server: Server, home: Path) -> DynoState:
    """Start the server, or describe it. EngineError."""
    python, mounts = host_python.find()
    data = Mount(target="/data", source=names.volume(server.owner, server.key), mode="rw")
    return engine.start(
        DynoSpec(
            id=service_dynos.dyno_id(server.key, server.number),
            kind="service",
            owner=server.owner,
            uid=server.uid,
            process=PROCESS,
            command=(python, "-I", "-S", program.FOLDER),
            stdin=json.dumps(server.configuration).encode(),
            cwd="/data",
            env={"PYTHONDONTWRITEBYTECODE": "1"},
            mounts=(data, program.mount(home), *mounts),
            port=rules.INSIDE,
            service=names.service(server.key),
            egress=False,
            limits=Limits(memory_mb=rules.size(server.plan).memory_mb, pids=96, boot=60.0, grace=5.0),
            log=server.log,
        )
    )
