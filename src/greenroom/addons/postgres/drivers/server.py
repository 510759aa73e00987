"""SQL statements on the PostgreSQL server of the apps' databases, with quoted names and passwords as parameters."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql

from greenroom.addons.drivers import platform_server
from greenroom.addons.drivers.platform_server import alone
from greenroom.addons.postgres import rules
from greenroom.basics.errors import PlatformError

CONNECTION_LIMIT = rules.MOST


@dataclass(frozen=True)
class Guest:
    """A temporary role with exactly the privileges of an app's role."""

    name: str
    password: str


@dataclass(frozen=True)
class Facts:
    """Facts about one database: its OID, its size in bytes, and the number of rows written since the last statistics
    reset.
    """

    oid: int
    bytes: int
    writes: int


def connect(database: str = "", guest: Guest | None = None) -> AbstractContextManager[psycopg.Connection]:
    """An autocommit connection to the platform's database or another, as the platform's role or as a guest."""
    if guest is None:
        return platform_server.connect(database)
    return platform_server.connect(database, user=guest.name, password=guest.password)


def role_exists(connection: psycopg.Connection, role: str) -> bool:
    """Whether the role exists."""
    return connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is not None


def database_exists(connection: psycopg.Connection, name: str) -> bool:
    """Whether the database exists and was not created by a test run under this name."""
    words = (
        "SELECT 1 FROM pg_database LEFT JOIN pg_roles ON datdba = pg_roles.oid WHERE datname = %s AND (rolname ~ %s) IS"
        " NOT TRUE"
    )
    return connection.execute(words, [name, rules.THROWAWAY]).fetchone() is not None


def make_role(
    connection: psycopg.Connection, role: str, password: str, *, createdb: bool = False, limit: int = CONNECTION_LIMIT
) -> None:
    """Create the role, or update its password and connection limit. The server receives a SCRAM verifier, never the
    password.

    NOSUPERUSER is not repeated for an existing role: since PostgreSQL 16 only a superuser may set it, even without a
    change.
    """
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    facts = (sql.Literal(verifier), sql.Literal(limit), sql.SQL("CREATEDB" if createdb else "NOCREATEDB"))
    with alone(connection, role):
        words = "ALTER ROLE {}" if role_exists(connection, role) else "CREATE ROLE {} NOSUPERUSER NOCREATEROLE"
        connection.execute(
            sql.SQL(words + " LOGIN PASSWORD {} CONNECTION LIMIT {} {}").format(sql.Identifier(role), *facts)
        )


def make_database(connection: psycopg.Connection, name: str, role: str, *, limit: int = CONNECTION_LIMIT) -> None:
    """Create a database owned by the platform; ``role`` has all privileges but cannot grant them.

    ``limit``: connections of all roles of the app together, plus some for the platform's own tasks.
    The owner of a database could grant CONNECT to PUBLIC; a role without grant option cannot. A database that a test
    run created under this name is dropped.
    """
    database, user = sql.Identifier(name), sql.Identifier(role)
    with alone(connection, name):
        while not database_exists(connection, name):
            _evict(connection, name)
            with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                connection.execute(sql.SQL("CREATE DATABASE {}").format(database))
        limit_database(connection, name, limit)
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        connection.execute(sql.SQL("GRANT CONNECT, TEMPORARY, CREATE ON DATABASE {} TO {}").format(database, user))
        with connect(name) as inner:
            inner.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
            inner.execute(sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(user))


def limit_database(connection: psycopg.Connection, name: str, limit: int) -> None:
    """Limit the connections to the database for all roles; open connections stay."""
    words = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}")
    connection.execute(words.format(sql.Identifier(name), sql.Literal(limit + rules.OWN)))


def limit_role(connection: psycopg.Connection, role: str, limit: int) -> None:
    """Limit the connections of the role; open connections stay."""
    connection.execute(sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}").format(sql.Identifier(role), sql.Literal(limit)))


def role_limit(connection: psycopg.Connection, role: str) -> int | None:
    """The connection limit of the role; None if there is no such role."""
    row = connection.execute("SELECT rolconnlimit FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    return row[0] if row else None


def database_limit(connection: psycopg.Connection, name: str) -> int | None:
    """The connection limit of the database; None if there is no such database."""
    row = connection.execute("SELECT datconnlimit FROM pg_database WHERE datname = %s", [name]).fetchone()
    return row[0] if row else None


def set_defaults(connection: psycopg.Connection, role: str, values: dict[str, str]) -> None:
    """Set defaults for new sessions of the role."""
    for name, value in values.items():
        words = sql.SQL("ALTER ROLE {} SET {} = {}")
        connection.execute(words.format(sql.Identifier(role), sql.Identifier(name), sql.Literal(value)))


def restrain(connection: psycopg.Connection, role: str, *, read_only: bool, login: bool) -> None:
    """Set whether new sessions of the role are read-only, and whether it may log in."""
    name = sql.Identifier(role)
    if read_only:
        set_defaults(connection, role, {"default_transaction_read_only": "on"})
    else:
        connection.execute(sql.SQL("ALTER ROLE {} RESET default_transaction_read_only").format(name))
    connection.execute(sql.SQL("ALTER ROLE {} {}").format(name, sql.SQL("LOGIN" if login else "NOLOGIN")))


def let_into_postgres(connection: psycopg.Connection, role: str) -> None:
    """Allow a test role to connect to ``postgres``, from which Django's test runner drops its database.

    The roles of apps may not connect there.
    """
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE postgres TO {}").format(sql.Identifier(role)))


def drop_database(connection: psycopg.Connection, name: str) -> None:
    """Drop the database and end its sessions; no effect if it does not exist.

    Retries if a session starts in between with a role of which the platform is not a member yet (the guest of a dump).
    FORCE needs the right to end every session, which only a superuser has for an autovacuum worker; a plain DROP
    cancels that worker.
    Also works for a test run's database that took a name of the platform or was marked as a template.
    """
    drop = sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name))
    with alone(connection, name):
        for last in (False,) * 9 + (True,):
            take_over(connection, name)
            end_sessions(connection, database=name)
            try:
                with suppress(psycopg.errors.InsufficientPrivilege):
                    connection.execute(drop + sql.SQL(" WITH (FORCE)"))
                    return
                end_sessions(connection, database=name)
                connection.execute(drop)
                return
            except psycopg.errors.ObjectInUse:
                if last:
                    raise


def lock_out(connection: psycopg.Connection, role: str) -> None:
    """Revoke LOGIN and CREATEDB from the role and end its sessions."""
    connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN NOCREATEDB").format(sql.Identifier(role)))
    deadline = time.monotonic() + 10
    while end_sessions(connection, role=role) and time.monotonic() < deadline:
        time.sleep(0.02)


def take_over(connection: psycopg.Connection, database: str) -> bool:
    """For a test run's database, lock out its role and give the platform access to drop it; False for other
    databases.
    """
    row = connection.execute(
        "SELECT rolname FROM pg_database JOIN pg_roles ON datdba = pg_roles.oid WHERE datname = %s AND rolname ~ %s",
        [database, rules.THROWAWAY],
    ).fetchone()
    if row is None:
        return False
    name = sql.Identifier(database)
    lock_out(connection, row[0])
    connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(row[0])))
    connection.execute(
        sql.SQL("ALTER DATABASE {} IS_TEMPLATE false ALLOW_CONNECTIONS true CONNECTION LIMIT -1").format(name)
    )
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO CURRENT_USER").format(name))
    return True


def _evict(connection: psycopg.Connection, name: str) -> None:
    """Drop a database that a test run created under a name of the platform, if there is one."""
    if take_over(connection, name):
        drop_database(connection, name)


def tenant(connection: psycopg.Connection, database: str) -> str | None:
    """The role to which ``make_database`` gave access to the database; None if there is none."""
    row = connection.execute(
        "SELECT r.rolname FROM pg_database d, aclexplode(d.datacl) a JOIN pg_roles r ON r.oid = a.grantee"
        " WHERE d.datname = %s AND a.privilege_type = 'CREATE' AND a.grantee <> d.datdba ORDER BY r.rolname",
        [database],
    ).fetchone()
    return row[0] if row else None


def databases_under(connection: psycopg.Connection, prefix: str) -> list[str]:
    """The platform's databases whose names start with ``prefix``."""
    rows = connection.execute(
        "SELECT datname FROM pg_database WHERE starts_with(datname, %s) AND pg_get_userbyid(datdba) = CURRENT_USER",
        [prefix],
    )
    return [name for (name,) in rows.fetchall()]


def names_like(connection: psycopg.Connection, pattern: str) -> list[str]:
    """The platform's databases, and the roles, whose names match a regular expression; sorted and distinct."""
    rows = connection.execute(
        "SELECT datname FROM pg_database WHERE datname ~ %(pattern)s AND pg_get_userbyid(datdba) = CURRENT_USER"
        " UNION SELECT rolname FROM pg_roles WHERE rolname ~ %(pattern)s ORDER BY 1",
        {"pattern": pattern},
    )
    return [name for (name,) in rows.fetchall()]


def facts(connection: psycopg.Connection, name: str) -> Facts | None:
    """The facts about a database; None if there is no such database."""
    row = connection.execute(
        "SELECT d.oid::bigint, pg_database_size(d.oid), coalesce(s.tup_inserted + s.tup_updated + s.tup_deleted, 0)"
        " FROM pg_database d LEFT JOIN pg_stat_database s ON s.datid = d.oid WHERE d.datname = %s",
        [name],
    ).fetchone()
    return Facts(*row) if row else None


def end_sessions(connection: psycopg.Connection, *, database: str = "", role: str = "") -> int:
    """End all sessions in the database, or of the role; returns their number.

    Only members of a role may end its sessions, so the platform joins the roles that it finds. If a guest is dropped
    meanwhile, the server reports an unknown role or an internal error; there are then no sessions left to end.
    """
    rows = connection.execute(
        "SELECT pid, usename FROM pg_stat_activity WHERE (datname = %s OR usename = %s) AND usename IS NOT NULL"
        " AND pid <> pg_backend_pid()",
        [database, role],
    ).fetchall()
    for name in {usename for _, usename in rows}:
        with suppress(psycopg.errors.UndefinedObject, psycopg.errors.InternalError_):
            member = connection.execute("SELECT pg_has_role(CURRENT_USER, %s, 'USAGE')", [name]).fetchone()
            if member != (True,):
                connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(name)))
    for pid, _ in rows:
        connection.execute("SELECT pg_terminate_backend(%s)", [pid])
    return len(rows)


def restarted_since(moment: datetime) -> bool:
    """Whether the server was started after that moment, which interrupted all running work."""
    with connect() as connection:
        return connection.execute("SELECT pg_postmaster_start_time() > %s", [moment]).fetchone() == (True,)


def exchange(*, current: str, new: str, kept: str) -> None:
    """Rename ``current`` to ``kept`` and ``new`` to ``current``, in one transaction.

    A rename blocks new sessions and requires that no session is open, so open sessions are ended. No effect if ``kept``
    exists: the swap has already happened. PlatformError, without a change, if a session stays (a prepared transaction).
    """
    over = threading.Event()

    def empty() -> None:
        with connect() as connection:
            while not over.wait(0.02):
                with suppress(psycopg.Error):  # a concurrent grant of the same membership, or a dropped role: retry
                    end_sessions(connection, database=current)
                    end_sessions(connection, database=new)

    usher = threading.Thread(target=empty, name="end sessions", daemon=True)
    usher.start()
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    try:
        with connect() as connection:
            connection.execute("SET statement_timeout = '20s'")
            _evict(connection, kept)
            with alone(connection, current), connection.transaction():
                if not database_exists(connection, kept):
                    connection.execute(rename.format(sql.Identifier(current), sql.Identifier(kept)))
                    connection.execute(rename.format(sql.Identifier(new), sql.Identifier(current)))
    except psycopg.Error as error:
        raise PlatformError(f"The databases could not be swapped: {error}", hint="try again") from error
    finally:
        over.set()
        usher.join()
