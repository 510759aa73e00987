"""Where the control plane's home keeps artefacts, for engines. Rooms write them there, and name them to the engine.

Each one is complete or absent, since rooms rename it into its place. An engine on this machine mounts it from there; an
engine elsewhere copies it from there when a dyno first needs it.
"""

from __future__ import annotations

from greenroom.basics import targets
from greenroom.engine import names
from greenroom.engine.contract import PLATFORM, DynoSpec
from greenroom.engine.errors import EngineError

_PATHS = {
    "slug": "slugs/{}/app",
    "env": "envs/{}",
    "source": "sources/{}.tar",
    "python": "cache/python/{}",
    "tool": "cache/tools/{}",
    "scanner": "cache/scanners/{}",
    "volume": "volumes/{}",
}
_SHARED = ("wheels", "uv")
"""The platform's caches. An app has one, ``build``."""
CERTIFICATE = "keys/forwards.pem"
"""Private key and certificate with which an engine speaks TLS at the forwards of dynos, relative to home."""
_SOCKETS = {"database": "run/postgres/.s.PGSQL.{port}"}
"""Services whose socket has a path of its own: the database server of the platform."""


def path(name: str) -> str:
    """The path of an artefact, relative to home; absolute for ``host``. Raises EngineError, also for ``scratch``."""
    kind, key = names.artefact(name)
    if kind == "host":
        return key
    if kind == "cache":
        return _cache(key)
    if kind not in _PATHS:
        raise EngineError(f"{name!r} lies in its dyno, not in the home", id="invalid_params")
    return _PATHS[kind].format(key)


def discarded(name: str) -> str:
    """The folder of an artefact that may be discarded, relative to home. Raises EngineError."""
    kind, key = names.discarded(name)
    return _cache(key) if kind == "cache" else f"{kind}s/{key}"


def socket(service: str, port: int) -> str:
    """The unix socket of a ``service:NAME``, relative to home. port: of the forward. Raises EngineError."""
    kind, key = names.target(service)
    if kind != names.SERVICE:
        raise EngineError(f"{service!r} has an address in the network, and no socket", id="invalid_params")
    return _SOCKETS.get(key, f"run/addons/{key}.sock").format(port=port)


def check(spec: DynoSpec) -> None:
    """Check the form of all names and targets in a spec, and the owners of its caches and volumes. EngineError."""
    names.check_id(spec.id)
    for mount in spec.mounts:
        for name in (*(mount.lower or (mount.source,)), *filter(None, (mount.upper,))):
            kind, key = names.artefact(name)
            if kind in ("cache", "volume") and key.partition("/")[0] != spec.owner:
                raise EngineError(f"dyno {spec.id}: {name!r} belongs to another owner", id="invalid_params")
    for service in (*(forward.service for forward in spec.forwards), *filter(None, (spec.service,))):
        names.target(service)
    for host, port in spec.allowed or ():
        if not targets.is_normal(host, port):
            raise EngineError(
                f"dyno {spec.id}: {host[:100]!r}, {port} is not a target in its normal form",
                hint="see basics/targets.py",
                id="invalid_params",
            )


def _cache(key: str) -> str:
    owner, _, name = key.partition("/")
    if name not in (_SHARED if owner == PLATFORM else ("build",)):
        raise EngineError(f"there is no cache {key!r}", hint="see engine/artefacts.py", id="invalid_params")
    return f"cache/{name}" if owner == PLATFORM else f"cache/apps/{owner}"
