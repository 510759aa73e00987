"""The PostgreSQL server that holds the databases of apps: statements on it, with names quoted and passwords as parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
from django.conf import settings
from psycopg import sql

from greenroom.basics import clock, ids
from greenroom.basics.errors import PlatformError

CONNECTION_LIMIT = 20
GUEST = "guest_"


@dataclass(frozen=True)
class Guest:
    """A role that lives as long as one piece of work and may do what an app's role may, and nothing else."""

    name: str
    password: str


def server() -> dict[str, Any]:
    """``host`` and ``port`` of the server as the control plane reaches it."""
    own = settings.DATABASES["default"]
    return {"host": own["HOST"], "port": own["PORT"] or 5432}


@contextmanager
def connect(database: str | None = None, guest: Guest | None = None) -> Iterator[psycopg.Connection]:
    """An autocommit connection to the platform's own database or to another, as the platform's role or as a guest."""
    own = settings.DATABASES["default"]
    try:
        connection = psycopg.connect(
            **server(),
            user=guest.name if guest else own["USER"],
            password=guest.password if guest else own["PASSWORD"],
            dbname=database or own["NAME"],
            autocommit=True,
            connect_timeout=10,
        )
    except psycopg.OperationalError as error:
        raise PlatformError(f"PostgreSQL does not answer: {error}", hint="greenroom status") from error
    with connection:
        yield connection


def role_exists(connection: psycopg.Connection, role: str) -> bool:
    """Whether the server knows the role."""
    return connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is not None


def database_exists(connection: psycopg.Connection, name: str) -> bool:
    """Whether the server has the database."""
    return connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is not None


def make_role(connection: psycopg.Connection, role: str, password: str, *, createdb: bool = False) -> None:
    """Create the role, or set its password and limits if it exists. The server sees a SCRAM verifier, never the password.

    An existing role is not told NOSUPERUSER again: since PostgreSQL 16 only a superuser may say that, even where it changes nothing.
    """
    words = "ALTER ROLE {}" if role_exists(connection, role) else "CREATE ROLE {} NOSUPERUSER NOCREATEROLE"
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    statement = sql.SQL(words + " LOGIN PASSWORD {} CONNECTION LIMIT {} {}").format(
        sql.Identifier(role),
        sql.Literal(verifier),
        sql.Literal(CONNECTION_LIMIT),
        sql.SQL("CREATEDB" if createdb else "NOCREATEDB"),
    )
    connection.execute(statement)


def make_database(connection: psycopg.Connection, name: str, role: str) -> None:
    """Create a database that the platform owns; ``role`` may use all of it and can let nobody else in.

    The owner of a database could grant CONNECT back to PUBLIC; a role with privileges but no grant option cannot.
    """
    database, user = sql.Identifier(name), sql.Identifier(role)
    if not database_exists(connection, name):
        connection.execute(sql.SQL("CREATE DATABASE {}").format(database))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    connection.execute(sql.SQL("GRANT CONNECT, TEMPORARY, CREATE ON DATABASE {} TO {}").format(database, user))
    with connect(name) as inner:
        inner.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        inner.execute(sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(user))


def let_into_postgres(connection: psycopg.Connection, role: str) -> None:
    """Django's test runner drops its database over a connection to ``postgres``; roles of apps may not connect there, test roles may."""
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE postgres TO {}").format(sql.Identifier(role)))


def drop_database(connection: psycopg.Connection, name: str) -> None:
    """Drop the database and end its sessions; nothing if there is none."""
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def drop_role(connection: psycopg.Connection, role: str) -> None:
    """Drop the role and the databases that it owns; nothing if there is none."""
    if not role_exists(connection, role):
        return
    connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))
    owned = "SELECT datname FROM pg_database JOIN pg_roles ON datdba = pg_roles.oid WHERE rolname = %s"
    for (name,) in connection.execute(owned, [role]).fetchall():
        drop_database(connection, name)
    connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
    connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def tenant(connection: psycopg.Connection, database: str) -> str | None:
    """The role that ``make_database`` let into the database; None when there is no such database or nobody was let in."""
    row = connection.execute(
        "SELECT r.rolname FROM pg_database d, aclexplode(d.datacl) a JOIN pg_roles r ON r.oid = a.grantee"
        " WHERE d.datname = %s AND a.privilege_type = 'CREATE' AND a.grantee <> d.datdba ORDER BY r.rolname",
        [database],
    ).fetchone()
    return row[0] if row else None


def database_size(connection: psycopg.Connection, name: str) -> int:
    """Bytes on disk; 0 when there is no such database."""
    row = connection.execute("SELECT pg_database_size(oid) FROM pg_database WHERE datname = %s", [name]).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def guest(role: str, *, seconds: float) -> Iterator[Guest]:
    """A role for one piece of work of at most ``seconds``, member of ``role``; removed at the end, or by ``drop_guests`` when the process dies."""
    made = Guest(name=GUEST + ids.new_secret(8), password=ids.new_secret(16))
    until = clock.now() + timedelta(seconds=seconds + 60)
    with connect() as connection, connection.transaction():
        make_role(connection, made.name, made.password)
        name = sql.Identifier(made.name)
        connection.execute(sql.SQL("ALTER ROLE {} VALID UNTIL {}").format(name, sql.Literal(until.isoformat())))
        connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), name))
    try:
        yield made
    finally:
        with connect() as connection:
            _drop_guest(connection, made.name)


def drop_guests(connection: psycopg.Connection) -> int:
    """Drop the guests whose time is over; how many there were."""
    rows = connection.execute(
        "SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s) AND rolvaliduntil < now()", [GUEST]
    ).fetchall()
    return sum(_drop_guest(connection, name) for (name,) in rows)


def _drop_guest(connection: psycopg.Connection, name: str) -> bool:
    """A tenant who has granted the guest something of its own keeps it from being dropped, but not from being locked out."""
    try:
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))
    except psycopg.errors.DependentObjectsStillExist:
        connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN VALID UNTIL '-infinity'").format(sql.Identifier(name)))
        return False
    return True
