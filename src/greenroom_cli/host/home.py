"""One installation's home: where it is, what it is (``installation.json``), and its folders."""

from __future__ import annotations

import json
import os
import pwd
import re
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from greenroom.basics import atomic
from greenroom_cli.host import engine_processes
from greenroom_cli.host.errors import HostError

FILE = "installation.json"
HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\Z")
CONTROL_USER = "greenroom"
POSTGRES_USER = "greenroom-postgres"
SHARED = (
    "slugs",
    "envs",
    "sources",
    "builds",
    "cache",
    "cache/wheels",
    "cache/apps",
    "logs",
    "logs/apps",
    "run",
    "tools",
)
PRIVATE = ("keys", "repos", "caddy", "snapshots", "logs/deliveries", "logs/router", "run/router", "run/git-hooks")


_OTHER_DATABASE = {
    "embedded": (
        "DATABASE_URL is set, but this installation keeps its data in the embedded PostgreSQL.",
        "unset DATABASE_URL, or choose another --home for an installation on an external PostgreSQL",
    ),
    "external": (
        "DATABASE_URL is not set, but this installation keeps its data in an external PostgreSQL.",
        "export DATABASE_URL=... as at the first `greenroom up`, or choose another --home",
    ),
}


@dataclass(frozen=True)
class Installation:
    """What ``installation.json`` says."""

    version: int = 1
    mode: str = "development"
    api_port: int = 5000
    tls_port: int = 5001
    rendezvous_port: int = 5002
    pg_port: int = 5003
    http_port: int = 8080
    https_port: int = 8443
    bind: str = "127.0.0.1"
    postgres: str = "embedded"
    control_user: str = ""
    control_uid: int = -1
    control_gid: int = -1
    created_at: str = ""
    proxy_port: int = 0
    host: str = "localhost"


def home_of(option: str | None) -> Path:
    """``--home``, else $GREENROOM_HOME, else ~/.greenroom."""
    return Path(option or os.environ.get("GREENROOM_HOME") or Path.home() / ".greenroom").absolute()


def read(home: Path) -> Installation | None:
    """The installation of that home, or None before the first ``up``."""
    try:
        stored = json.loads((home / FILE).read_text())
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise HostError(
            f"{home / FILE} cannot be read: it belongs to another user.", "run as the user who made it"
        ) from error
    except ValueError as error:
        raise HostError(f"{home / FILE} is not JSON: {error}.", "restore it, or start with another --home") from error
    known = {key: value for key, value in stored.items() if key in Installation.__dataclass_fields__}
    return Installation(**known)


def settle(
    home: Path,
    api_port: int | None,
    http_port: int | None,
    https_port: int | None,
    proxy_port: int | None = None,
    *,
    host: str | None = None,
    bind: str | None = None,
) -> Installation:
    """What this ``up`` runs with: stored values, changed by options; the mode must be the one that the home was made
    in.
    """
    mode = "root" if os.geteuid() == 0 else "development"
    stored = read(home)
    if stored and stored.mode != mode:
        other = "root" if stored.mode == "root" else "an ordinary user"
        raise HostError(f"{home} was made by {other}.", "run as before, or choose another --home")
    install = stored or Installation(mode=mode, created_at=datetime.now(UTC).isoformat(timespec="seconds"))
    if api_port:
        install = replace(
            install, api_port=api_port, tls_port=api_port + 1, rendezvous_port=api_port + 2, pg_port=api_port + 3
        )
    install = replace(install, http_port=http_port or install.http_port, https_port=https_port or install.https_port)
    if proxy_port is not None:
        install = replace(install, proxy_port=proxy_port)
    install = replace(install, host=_host_name(host) if host else install.host, bind=bind or install.bind)
    wanted = "external" if os.environ.get("DATABASE_URL") else "embedded"
    if stored and stored.postgres != wanted:
        raise HostError(*_OTHER_DATABASE[stored.postgres])
    return replace(install, postgres=wanted)


def _host_name(text: str) -> str:
    """HostError when it is no name that a certificate could hold."""
    name = text.lower().rstrip(".")
    if len(name) > 253 or not HOST_NAME.match(name):
        raise HostError(
            f"--host is {text[:60]!r}, which is no host name.",
            "for example greenroom-localhost.example.com; letters, digits, dashes and dots",
        )
    return name


def write(home: Path, install: Installation) -> None:
    """Store it, whole or not at all."""
    atomic.write(home / FILE, json.dumps(asdict(install), indent=2) + "\n")


def make_folders(home: Path, install: Installation) -> None:
    """All folders with their modes. As root: apps' users may pass through, and read nothing that is not theirs."""
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(f"{home} cannot be made: {error.strerror}.", "choose another --home") from error
    root = install.mode == "root"
    home.chmod(0o711 if root else 0o700)
    for name in (*SHARED, *engine_processes.folders(), *PRIVATE, "postgres", "run/postgres"):
        (home / name).mkdir(parents=True, exist_ok=True)
        (home / name).chmod(0o700 if name in PRIVATE else 0o711)
    if root:
        _give(home, install)


def _give(home: Path, install: Installation) -> None:
    control = (install.control_uid, install.control_gid)
    for name in (*SHARED, *PRIVATE):
        os.chown(home / name, *control)
    for name in engine_processes.folders():
        os.chown(home / name, 0, install.control_gid)
        (home / name).chmod(0o751)
    os.chown(home / "run", 0, install.control_gid)
    (home / "run").chmod(0o1771)
    postgres = pwd.getpwnam(POSTGRES_USER)
    for name in ("postgres", "run/postgres"):
        os.chown(home / name, postgres.pw_uid, postgres.pw_gid)
