"""The login roles of an app's database: the owner for users, and two restricted roles for the app's processes and
builds.

``app`` reads and writes rows and cannot change the schema; ``build`` only reads. Neither can write the ledgers, in
which Django and Alembic record applied migrations. Names and passwords of the restricted roles are derived from the
owner's, so that nothing else has to be stored.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from greenroom.addons.drivers import platform_server
from greenroom.addons.postgres.drivers import role_removal, server
from greenroom.addons.postgres.rules import LEDGERS
from greenroom.addons.rules.access import APP, BUILD, OWNER
from greenroom.basics.errors import PlatformError

log = logging.getLogger(__name__)
LESSER = (APP, BUILD)
ALL = (OWNER, *LESSER)
RIGHTS = "SELECT, INSERT, UPDATE, DELETE, TRUNCATE"
MAINTAIN = 170_000
"""First server version with the privilege MAINTAIN: VACUUM, ANALYZE, REINDEX, REFRESH MATERIALIZED VIEW on another
role's tables.
"""
LARGE_OBJECTS = 180_000
"""First server version with default privileges for large objects."""
SHARE = """
DO $share$
DECLARE
    r record;
    app name := {app};
    build name := {build};
BEGIN
    FOR r IN SELECT nspname AS name FROM pg_namespace n WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
        AND pg_has_role({owner}, n.nspowner, 'USAGE') AND NOT has_schema_privilege(app, n.oid, 'USAGE')
    LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I, %I', r.name, app, build);
    END LOOP;
    FOR r IN SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name, c.relname = ANY ({ledgers}) AS ledger,
            c.relkind = 'S' AS sequence
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND pg_has_role({owner}, c.relowner, 'USAGE')
    LOOP
        IF r.ledger AND r.sequence THEN
            IF has_sequence_privilege(app, r.oid, 'USAGE, UPDATE') THEN
                EXECUTE format('REVOKE ALL ON SEQUENCE %s FROM %I, %I', r.name, app, build);
            END IF;
        ELSIF r.sequence THEN
            IF NOT has_sequence_privilege(app, r.oid, 'USAGE, SELECT, UPDATE') THEN
                EXECUTE format('GRANT USAGE, SELECT, UPDATE ON SEQUENCE %s TO %I', r.name, app);
                EXECUTE format('GRANT SELECT ON SEQUENCE %s TO %I', r.name, build);
            END IF;
        ELSIF r.ledger THEN
            IF has_table_privilege(app, r.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
                OR NOT has_table_privilege(app, r.oid, 'SELECT') THEN
                EXECUTE format('REVOKE ALL ON %s FROM %I, %I', r.name, app, build);
                EXECUTE format('GRANT SELECT ON %s TO %I, %I', r.name, app, build);
            END IF;
        ELSIF NOT has_table_privilege(app, r.oid, 'SELECT, INSERT, UPDATE, DELETE') THEN
            EXECUTE format('GRANT ' || {rights} || ' ON %s TO %I', r.name, app);
            EXECUTE format('GRANT SELECT ON %s TO %I', r.name, build);
        END IF;
    END LOOP;
END $share$
"""
"""Grants the restricted roles missing privileges on the owner's objects, and makes the ledgers read-only for them.

Skips tables on which they already have a privilege.
"""


def name(owner: str, kind: str) -> str:
    """The name of a database role, derived from the owner's."""
    return owner if kind == OWNER else f"{owner}_{kind}"


def password(secret: str, kind: str) -> str:
    """The password of a role, derived from the owner's by a one-way function."""
    return (
        secret
        if kind == OWNER
        else hmac.new(secret.encode(), f"greenroom {kind}".encode(), hashlib.sha256).hexdigest()[:32]
    )


def make(connection: psycopg.Connection, owner: str, secret: str, *, limit: int = server.CONNECTION_LIMIT) -> None:
    """Create the roles of a database, or update their passwords and connection limits.

    The database limits their connections together.
    """
    for kind in ALL:
        server.make_role(connection, name(owner, kind), password(secret, kind), limit=limit)


def drop(connection: psycopg.Connection, owner: str) -> None:
    """Drop the roles, after their databases."""
    for kind in reversed(ALL):
        role_removal.drop_role(connection, name(owner, kind))


def let_in(connection: psycopg.Connection, database: str, owner: str) -> None:
    """Grant the restricted roles of ``owner`` access to present and future objects of the database.

    Idempotent; no effect if the roles do not exist.
    """
    if not all(server.role_exists(connection, name(owner, kind)) for kind in LESSER):
        return
    app, build, role = (sql.Identifier(name(owner, kind)) for kind in (APP, BUILD, OWNER))
    with platform_server.one_at_a_time(f"roles/{owner}"):
        if connection.execute("SELECT pg_has_role(CURRENT_USER, %s, 'USAGE')", [owner]).fetchone() != (True,):
            connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(role))
        connection.execute(
            sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}, {}").format(sql.Identifier(database), app, build)
        )
        with _inside(database) as inner:
            inner.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}, {}").format(app, build))
            for words in _defaults(inner.info.server_version):
                inner.execute(
                    sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} GRANT " + words).format(role, app=app, build=build)
                )
            _share(inner, owner)


def share(database: str, owner: str) -> None:
    """Make the ledgers read-only and grant the restricted roles missing privileges.

    Called after runs that may create tables, and regularly.
    """
    with platform_server.one_at_a_time(f"roles/{owner}"), _inside(database) as inner:
        _share(inner, owner)


def heal(*, database: str, owner: str, secret: str, limit: int) -> bool:
    """Reset the passwords if one of them fails (an app can change its own); returns whether that was so."""
    closed = [kind for kind in ALL if not _opens(database, server.Guest(name(owner, kind), password(secret, kind)))]
    if not closed:
        return False
    with server.connect() as connection:
        broken = any(not _full(connection, database, name(owner, kind)) for kind in closed)
        if broken:
            make(connection, owner, secret, limit=limit)
            let_in(connection, database, owner)
    return broken


def _opens(database: str, role: server.Guest) -> bool:
    try:
        with server.connect(database, role):
            return True
    except PlatformError:
        return False


def _full(connection: psycopg.Connection, database: str, role: str) -> bool:
    """Whether the login failed because a connection limit of the role, the database or the server is reached."""
    row = connection.execute(
        "SELECT (SELECT count(*) FROM pg_stat_activity WHERE usename = r.rolname) >= r.rolconnlimit AND r.rolconnlimit"
        " >= 0 OR (SELECT count(*) FROM pg_stat_activity WHERE datname = %(database)s) >= (SELECT datconnlimit FROM"
        " pg_database WHERE datname = %(database)s AND datconnlimit >= 0) OR (SELECT count(*) FROM pg_stat_activity"
        " WHERE backend_type = 'client backend') + 10 >= current_setting('max_connections')::int * 9 / 10 FROM pg_roles"
        " r WHERE r.rolname = %(role)s",
        {"database": database, "role": role},
    ).fetchone()
    return row is not None and row[0] is True


@contextmanager
def _inside(database: str) -> Iterator[psycopg.Connection]:
    """A connection of the platform with a short lock timeout."""
    with server.connect(database) as inner:
        inner.execute("SET lock_timeout = '5s'")
        yield inner


def _defaults(version: int) -> Iterator[str]:
    yield f"{RIGHTS}{', MAINTAIN' if version >= MAINTAIN else ''} ON TABLES TO {{app}}"
    yield "SELECT ON TABLES TO {build}"
    yield "USAGE, SELECT, UPDATE ON SEQUENCES TO {app}"
    yield "SELECT ON SEQUENCES TO {build}"
    yield "USAGE ON SCHEMAS TO {app}, {build}"
    if version >= LARGE_OBJECTS:
        yield "SELECT, UPDATE ON LARGE OBJECTS TO {app}"


def _share(inner: psycopg.Connection, owner: str) -> None:
    rights = RIGHTS + (", MAINTAIN" if inner.info.server_version >= MAINTAIN else "")
    words = {
        "app": sql.Literal(name(owner, APP)),
        "build": sql.Literal(name(owner, BUILD)),
        "owner": sql.Literal(owner),
        "ledgers": sql.SQL("ARRAY[{}]").format(sql.SQL(", ").join(sql.Literal(ledger) for ledger in LEDGERS)),
        "rights": sql.Literal(rights),
    }
    inner.execute(sql.SQL(SHARE).format(**words))
