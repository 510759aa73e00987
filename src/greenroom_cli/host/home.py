"""The home folder of an installation: its path, its settings (``installation.json``) and its subfolders."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greenroom.basics import atomic
from greenroom_cli.host import engine_processes, names, postgres_choice
from greenroom_cli.host.errors import HostError

if TYPE_CHECKING:
    from greenroom.engine.host_part import HostPart

FILE = "installation.json"
UNFINISHED = "restore.unfinished"
"""Marks a home whose restore has not ended."""
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
PRIVATE = (
    "keys",
    "repos",
    "caddy",
    "snapshots",
    "backups",
    "logs/deliveries",
    "logs/router",
    "run/router",
    "run/git-hooks",
)


_OTHER_DATABASE = {
    "embedded": (
        "DATABASE_URL is set, but this installation uses the embedded PostgreSQL.",
        "unset DATABASE_URL, or choose another --home for an installation with an external PostgreSQL",
    ),
    "external": (
        "DATABASE_URL is not set, but this installation uses an external PostgreSQL.",
        "export DATABASE_URL=... as at the first `greenroom up`, or choose another --home",
    ),
}


@dataclass(frozen=True)
class Installation:
    """The settings in ``installation.json``."""

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
    engine: str = "local"
    postgres_bin: str = ""
    domain: str = "localhost"
    certificates: str = "own"
    email: str = ""
    acme_ca: str = ""
    acme_root: bool = False
    trusted_proxies: tuple[str, ...] = ()
    api_bind: str = ""


def home_of(option: str | None) -> Path:
    """The absolute path of ``--home``, else $GREENROOM_HOME, else ~/.greenroom."""
    return Path(option or os.environ.get("GREENROOM_HOME") or Path.home() / ".greenroom").absolute()


def read(home: Path) -> Installation | None:
    """The installation in that home, None before the first ``up``. HostError for an unreadable file."""
    try:
        stored = json.loads((home / FILE).read_text())
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise HostError(
            f"Cannot read {home / FILE}: it belongs to another user.", "run the command as its owner"
        ) from error
    except ValueError as error:
        raise HostError(f"{home / FILE} is not valid JSON: {error}.", "restore it, or choose another --home") from error
    return of_stored(stored)


def of_stored(stored: Mapping[str, Any]) -> Installation:
    """The installation of the content of FILE; unknown keys are ignored."""
    known = {key: value for key, value in stored.items() if key in Installation.__dataclass_fields__}
    known["trusted_proxies"] = tuple(known.get("trusted_proxies", ()))
    return Installation(**known)


def engine_part(home: Path) -> HostPart:
    """The host's part of the engine that the last ``up`` used. HostError if it cannot be loaded."""
    return engine_processes.part((read(home) or Installation()).engine)


def settle(
    home: Path,
    api_port: int | None,
    http_port: int | None,
    https_port: int | None,
    proxy_port: int | None = None,
    *,
    host: str | None = None,
    bind: str | None = None,
    asked: names.Asked | None = None,
) -> Installation:
    """The settings for ``up``: the stored ones, changed by the options. HostError when the home was created in another
    mode (root or not) or with another kind of database.
    """
    mode = "root" if os.geteuid() == 0 else "development"
    stored = read(home)
    if stored and stored.mode != mode:
        other = "root" if stored.mode == "root" else "a user other than root"
        raise HostError(f"{home} was created by {other}.", "run as that user, or choose another --home")
    install = stored or Installation(mode=mode, created_at=datetime.now(UTC).isoformat(timespec="seconds"))
    if api_port:
        install = replace(
            install, api_port=api_port, tls_port=api_port + 1, rendezvous_port=api_port + 2, pg_port=api_port + 3
        )
    install = replace(install, http_port=http_port or install.http_port, https_port=https_port or install.https_port)
    if proxy_port is not None:
        install = replace(install, proxy_port=proxy_port)
    install = replace(install, host=_host_name(host) if host else install.host, bind=bind or install.bind)
    install = replace(install, **names.changes(asked or names.Asked()))
    names.check(install.domain, install.certificates)
    wanted = "external" if os.environ.get("DATABASE_URL") else "embedded"
    if stored and stored.postgres != wanted:
        raise HostError(*_OTHER_DATABASE[stored.postgres])
    return replace(
        install,
        postgres=wanted,
        engine=os.environ.get("GREENROOM_ENGINE", "") or "local",
        postgres_bin=_postgres_bin(stored, wanted),
    )


def _postgres_bin(stored: Installation | None, kind: str) -> str:
    """The folder of PostgreSQL's programs, empty for the embedded ones: GREENROOM_POSTGRES_BIN, else that of the last
    ``up``, else the best for a new home. A home keeps its server, since another version cannot read its data.
    """
    asked = os.environ.get(postgres_choice.CHOICE, "")
    if asked or kind != "embedded":
        return asked
    return stored.postgres_bin if stored else postgres_choice.best()


def _host_name(text: str) -> str:
    """The normalized host name. HostError when it is not valid in a certificate."""
    name = text.lower().rstrip(".")
    if len(name) > 253 or not names.HOST_NAME.match(name):
        raise HostError(
            f"--host {text[:60]!r} is not a valid host name.",
            "use letters, digits, dashes and dots, for example greenroom-localhost.example.com",
        )
    return name


def write(home: Path, install: Installation) -> None:
    """Write ``installation.json`` atomically."""
    atomic.write(home / FILE, json.dumps(asdict(install), indent=2) + "\n")


def make_folders(home: Path, install: Installation) -> None:
    """Create all folders with their modes. As root, app users can traverse them but only read their own files."""
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(f"Cannot create {home}: {error.strerror}.", "choose another --home") from error
    root = install.mode == "root"
    home.chmod(0o711 if root else 0o700)
    engine = engine_processes.part(install.engine).folders
    for name in (*SHARED, *engine, *PRIVATE, "postgres", "run/postgres"):
        (home / name).mkdir(parents=True, exist_ok=True)
        (home / name).chmod(0o700 if name in PRIVATE else 0o711)
    if root:
        _set_owners(home, install, engine)


def _set_owners(home: Path, install: Installation, engine: tuple[str, ...]) -> None:
    control = (install.control_uid, install.control_gid)
    for name in (*SHARED, *PRIVATE):
        os.chown(home / name, *control)
    for name in engine:
        os.chown(home / name, 0, install.control_gid)
        (home / name).chmod(0o751)
    os.chown(home / "run", 0, install.control_gid)
    (home / "run").chmod(0o1771)
    postgres = pwd.getpwnam(POSTGRES_USER)
    for name in ("postgres", "run/postgres"):
        os.chown(home / name, postgres.pw_uid, postgres.pw_gid)
