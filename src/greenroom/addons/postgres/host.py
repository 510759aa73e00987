"""The PostgreSQL server that holds the databases of apps: statements on it, with names quoted and passwords as parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.conf import settings
from psycopg import sql

from greenroom.basics.errors import PlatformError

CONNECTION_LIMIT = 20


@contextmanager
def connect(database: str | None = None) -> Iterator[psycopg.Connection]:
    """An autocommit connection as the platform's role, to its own database or to another."""
    own = settings.DATABASES["default"]
    try:
        connection = psycopg.connect(
            host=own["HOST"],
            port=own["PORT"] or 5432,
            user=own["USER"],
            password=own["PASSWORD"],
            dbname=database or own["NAME"],
            autocommit=True,
            **{"connect_timeout": 10} | {key: value for key, value in own["OPTIONS"].items() if key != "pool"},
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
