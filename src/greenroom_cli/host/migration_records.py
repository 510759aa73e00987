"""The guard of the embedded server: an event trigger in each database that takes the records of migrations from all but
their owner at once.

Only a superuser may make one, which the platform's own role is not; ``greenroom up`` is. New databases get it from
template1. Where it is missing
(another PostgreSQL), the platform takes the same rights away after each run of a person and in its regular checks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

VERSION = 2
NO_LARGE_OBJECTS = (
    "REVOKE EXECUTE ON FUNCTION pg_catalog.lo_creat(int), pg_catalog.lo_create(oid), pg_catalog.lo_from_bytea(oid,"
    " bytea) FROM PUBLIC"
)
"""Roles of test runs may connect to the database ``postgres``; large objects are all that they could store there."""
DATABASES = r"^d[0-9a-f]{12}(_.*)?$"
OWNER = "greenroom"
"""The platform's role. A database of that name pattern with another owner was made by a tenant: no superuser may enter
it.
"""
FUNCTION = """
CREATE OR REPLACE FUNCTION pg_catalog.greenroom_guard() RETURNS event_trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $guard$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relkind = 'S' AS sequence, l.rolname AS role
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner
        JOIN pg_roles l ON l.rolname IN (o.rolname || '_app', o.rolname || '_build')
        WHERE c.relname IN ('django_migrations', 'alembic_version', 'django_migrations_id_seq')
        AND c.relkind IN ('r', 'p', 'S')
        AND pg_has_role(c.relowner, 'USAGE')
        AND EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee = l.oid AND a.privilege_type <> 'SELECT')
    LOOP
        IF r.sequence THEN
            EXECUTE format('REVOKE ALL ON SEQUENCE %s FROM %I', r.name, r.role);
        ELSE
            EXECUTE format('REVOKE ALL ON %s FROM %I', r.name, r.role);
            EXECUTE format('GRANT SELECT ON %s TO %I', r.name, r.role);
        END IF;
    END LOOP;
END $guard$
"""
"""It runs with the rights of whoever makes a table: of its owner, who may take rights on it away, and of nobody more
powerful.
"""
STATEMENTS = (
    FUNCTION,
    (
        "CREATE EVENT TRIGGER greenroom_guard ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS',"
        " 'SELECT INTO', 'ALTER TABLE') EXECUTE FUNCTION pg_catalog.greenroom_guard()"
    ),
    "ALTER EXTENSION plpgsql ADD EVENT TRIGGER greenroom_guard",
)
"""As a part of an extension that each database has, the trigger is in no dump; nor is a function of pg_catalog."""


def put_into(connection: Any) -> None:
    """Make the guard in the connection's database, or nothing when it is there. The connection is a superuser's, with
    pg_catalog as search_path.
    """
    with connection.transaction():
        connection.execute(FUNCTION)
        if not connection.execute(
            "SELECT 1 FROM pg_catalog.pg_event_trigger WHERE evtname = 'greenroom_guard'"
        ).fetchone():
            for statement in STATEMENTS[1:]:
                connection.execute(statement)


def everywhere(home: Path, connect: Callable[[str], Any]) -> None:
    """Put the guard into template1 and into the databases that apps have already; once for each home. ``connect``: as
    superuser, to a database.
    """
    marker = home / "postgres" / f"guard.{VERSION}"
    if marker.exists():
        return
    with connect("template1") as connection:
        put_into(connection)
        names = _databases(connection)
    with connect("postgres") as connection:
        connection.execute(NO_LARGE_OBJECTS)
    failed = {name for name in names if not _is_put_into(name, connect)}
    if failed:
        with connect("template1") as connection:
            failed &= _databases(connection)
    if not failed:
        marker.touch()


def _databases(connection: Any) -> set[str]:
    """The databases of apps that the platform made itself."""
    rows = connection.execute(
        "SELECT datname FROM pg_catalog.pg_database WHERE datname ~ %s AND datallowconn AND"
        " pg_catalog.pg_get_userbyid(datdba) = %s",
        [DATABASES, OWNER],
    ).fetchall()
    return {name for (name,) in rows}


def _is_put_into(name: str, connect: Callable[[str], Any]) -> bool:
    """Whether the database has the guard now. A database that is being dropped or replaced has not; the next start
    tries again.
    """
    try:
        with connect(name) as connection:
            put_into(connection)
    except Exception:
        return False
    return True
