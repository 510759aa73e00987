"""Temporary roles for one task of the platform in a database, with the privileges of the app's role."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from greenroom.addons.postgres.drivers import server
from greenroom.basics import ids

PREFIX = "guest_"
LIMIT = 8
"""Connection limit of a guest."""


@contextmanager
def guest(role: str, *, seconds: float) -> Iterator[server.Guest]:
    """A role for one task of at most ``seconds``, member of ``role``. Removed at the end, or by ``drop_expired`` after
    a crash.
    """
    made = server.Guest(name=PREFIX + ids.new_secret(8), password=ids.new_secret(16))
    with server.connect() as connection, connection.transaction():
        server.make_role(connection, made.name, made.password, limit=LIMIT)
        name = sql.Identifier(made.name)
        until = connection.execute("SELECT now() + make_interval(secs => %s)", [seconds + 60]).fetchone()
        assert until
        connection.execute(sql.SQL("ALTER ROLE {} VALID UNTIL {}").format(name, sql.Literal(until[0].isoformat())))
        connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), name))
    try:
        yield made
    finally:
        with server.connect() as connection:
            _drop(connection, made.name)


def drop_expired(connection: psycopg.Connection) -> int:
    """Drop the expired guests; returns their number."""
    rows = connection.execute(
        "SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s) AND rolvaliduntil < now()", [PREFIX]
    ).fetchall()
    return sum(_drop(connection, name) for (name,) in rows)


def _drop(connection: psycopg.Connection, name: str) -> bool:
    """Drop the role. A tenant who granted it a privilege can block the drop, but not the lockout."""
    server.end_sessions(connection, role=name)
    try:
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))
    except psycopg.errors.DependentObjectsStillExist:
        connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN VALID UNTIL '-infinity'").format(sql.Identifier(name)))
        return False
    return True
