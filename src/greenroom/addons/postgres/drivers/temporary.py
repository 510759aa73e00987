"""Limits the databases of test runs and rehearsals: only their own roles may connect, and oversized ones are locked
out.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from functools import partial

import psycopg
from django.conf import settings
from psycopg import sql

from greenroom.addons.postgres import rules
from greenroom.addons.postgres.drivers import clones, roles, server
from greenroom.basics.guard import Guard

log = logging.getLogger(__name__)
guard = Guard(log)
THEIRS = (
    "SELECT d.oid::bigint, datname, rolname FROM pg_database d JOIN pg_roles r ON r.oid = datdba WHERE rolname ~"
    " %(throwaway)s OR (rolname = CURRENT_USER AND (datname ~ %(throwaway)s OR datname ~ %(clone)s)) ORDER BY datname"
)
OPEN = (
    "SELECT has_database_privilege('public', %(oid)s::oid, 'CONNECT') OR NOT has_database_privilege(%(oid)s::oid,"
    " 'CONNECT')"
)


def look() -> None:
    """Close the databases to other roles, sum their sizes by role, and lock out roles over their limit. Idempotent."""
    sizes: dict[str, int] = defaultdict(int)
    with server.connect() as connection:
        words = {"throwaway": rules.THROWAWAY, "clone": clones.PATTERN}
        for oid, name, owner in connection.execute(THEIRS, words).fetchall():
            made_by_run = owner != connection.info.user
            step = partial(_measure, connection, oid, name, owner if made_by_run else "")
            sizes[owner if made_by_run else name.removesuffix(clones.BARE)] += (
                guard.run(name, f"the database {name}", step) or 0
            )
        for role, size in sizes.items():
            if settings.DATABASE_MB and size > limit(role):
                guard.run(role, f"the role {role}", partial(_lock_out, connection, role, size))


def limit(role: str) -> int:
    """Maximum total bytes of the role's databases. The limit of a rehearsal includes the copy of the app's data."""
    parts = 2 * rules.HARD if clones.MARK in role else rules.HARD
    return parts * settings.DATABASE_MB * 1_000_000


def _measure(connection: psycopg.Connection, oid: int, name: str, owner: str) -> int:
    if owner and connection.execute(OPEN, {"oid": oid}).fetchone() == (True,):
        connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(owner)))
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO CURRENT_USER").format(sql.Identifier(name)))
    row = connection.execute("SELECT pg_database_size(%s::oid)", [oid]).fetchone()
    return (row and row[0]) or 0


def _lock_out(connection: psycopg.Connection, owner: str, size: int) -> None:
    for role in (roles.name(owner, kind) for kind in roles.ALL):
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s AND rolcanlogin", [role]).fetchone():
            log.warning(
                "%s is locked out: its databases have %d MB of %d MB", role, size // 10**6, limit(owner) // 10**6
            )
            server.lock_out(connection, role)
