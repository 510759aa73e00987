"""Drops tenants' roles with all objects that they own, in any database of the server."""

from __future__ import annotations

import psycopg
from psycopg import sql

from greenroom.addons.postgres.drivers import server

OWNED = "SELECT datname FROM pg_database JOIN pg_roles ON datdba = pg_roles.oid WHERE rolname = %s"
ENTERED = (
    "SELECT DISTINCT d.datname FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid JOIN pg_roles r ON r.oid ="
    " s.refobjid WHERE s.refclassid = 'pg_authid'::regclass AND r.rolname = %s AND d.datname <> current_database()"
    " ORDER BY 1"
)
"""The other databases in which the role owns objects or has privileges."""
UNLINK = (
    "SELECT count(lo_unlink(oid)) FROM (SELECT m.oid FROM pg_largeobject_metadata m JOIN pg_roles r ON r.oid ="
    " m.lomowner WHERE r.rolname = %s LIMIT 2000) owned"
)
"""Large objects are dropped in batches: DROP OWNED locks each, and the server's lock table is limited."""
ATTEMPTS = 5


def drop_role(connection: psycopg.Connection, role: str) -> None:
    """Drop the role, its databases and its objects in other databases; no effect if it does not exist.

    The role is locked out first, so it can do no harm if a later step raises psycopg.Error.
    """
    if not server.role_exists(connection, role):
        return
    server.lock_out(connection, role)
    connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))
    for attempt in range(ATTEMPTS):
        for (name,) in connection.execute(OWNED, [role]).fetchall():
            server.drop_database(connection, name)
        for (name,) in connection.execute(ENTERED, [role]).fetchall():
            server.take_over(connection, name)
            with server.connect(name) as inner:
                _drop_owned(inner, role)
        _drop_owned(connection, role)
        try:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
            return
        except psycopg.errors.DependentObjectsStillExist:  # a running statement has added an object
            if attempt == ATTEMPTS - 1:
                raise


def _drop_owned(connection: psycopg.Connection, role: str) -> None:
    while connection.execute(UNLINK, [role]).fetchone() != (0,):
        pass
    connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(role)))
