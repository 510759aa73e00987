"""Temporary stores for test runs: a server each, without persistence, that the run's app owns."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings

from greenroom.addons.contract import Double
from greenroom.addons.drivers import service_dynos
from greenroom.addons.drivers.engines import engine
from greenroom.addons.redis import queries, rules
from greenroom.addons.redis.drivers import servers
from greenroom.addons.redis.drivers.servers import Server
from greenroom.apps.models import App
from greenroom.basics.errors import PlatformError
from greenroom.config_vars.drivers.encryption import master_key

PORT = rules.PORTS.start - 1
NAME = re.compile(r"redis-t[0-9a-f]{20}\Z")


def make(*, label: str, app: App) -> Double:
    """Start the label's server and wait until it answers. PlatformError if it does not."""
    home, key = settings.HOME, _key(label)
    password = _password(home, label)
    server = Server(
        key=key,
        number=1,
        owner=app.id.hex,
        uid=app.number,
        port=PORT,
        plan=rules.SERVICE.plan,
        configuration=rules.configuration(
            plan=rules.SERVICE.plan, settings={}, passwords=[password], platform=_password(home, f"platform {label}")
        ),
        on_host=False,
    )
    servers.start(engine(home), server, home)
    seconds = service_dynos.START_SECONDS
    if not service_dynos.listens(engine(home), server.dyno, seconds=seconds, process=servers.PROCESS):
        raise PlatformError("The key-value store of the tests does not answer.", hint="greenroom status")
    return Double(name=key, values=queries.urls(password, PORT), forwards=(service_dynos.forward(key, PORT),))


def drop(*, label: str) -> None:
    """End the label's server. No effect for an unknown label."""
    engine(settings.HOME).forget(service_dynos.dyno_id(_key(label), 1))


def present() -> set[str]:
    """The names of all temporary stores."""
    found = (state.id.rpartition("-")[0] for state in engine(settings.HOME).list() if state.kind == "service")
    return {name for name in found if NAME.match(name)}


def drop_others(*, there: set[str], labels: Iterable[str]) -> list[str]:
    """End those of ``there`` that belong to none of the labels; returns their names."""
    left = sorted(there - {_key(label) for label in labels})
    for name in left:
        engine(settings.HOME).forget(service_dynos.dyno_id(name, 1))
    return left


def _key(label: str) -> str:
    return "redis-t" + hashlib.sha256(label.encode()).hexdigest()[:20]


def _password(home: Path, label: str) -> str:
    """The same for the same label: a test run that is continued after a crash finds its server."""
    return hmac.new(master_key(home), f"greenroom redis {label}".encode(), "sha256").hexdigest()[:48]
