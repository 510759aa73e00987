"""Protects the migration records of the embedded server: an event trigger in each database lets only their owner write.

Only a superuser can create an event trigger, so ``greenroom up`` does it. New databases copy it from template1. Without
it (external PostgreSQL), the worker revokes the same privileges after each user command and in its regular checks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from greenroom_cli.host import untrusted_extensions

VERSION = 3
NO_LARGE_OBJECTS = (
    "REVOKE EXECUTE ON FUNCTION pg_catalog.lo_creat(int), pg_catalog.lo_create(oid), pg_catalog.lo_from_bytea(oid,"
    " bytea) FROM PUBLIC"
)
"""Roles of test runs may connect to the database ``postgres``, where they could store nothing but large objects."""
DATABASES = r"^d[0-9a-f]{12}(_.*)?$"
OWNER = "greenroom"
"""The platform's role. A database with another owner may belong to a tenant: no superuser may connect to it."""
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
"""It runs with the privileges of the user who creates the table: that is its owner, who may revoke privileges on it."""
STATEMENTS = (
    FUNCTION,
    (
        "CREATE EVENT TRIGGER greenroom_guard ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS',"
        " 'SELECT INTO', 'ALTER TABLE') EXECUTE FUNCTION pg_catalog.greenroom_guard()"
    ),
    "ALTER EXTENSION plpgsql ADD EVENT TRIGGER greenroom_guard",
)
"""pg_dump skips members of an extension and functions in pg_catalog, so neither the trigger nor its function is dumped.
"""


def put_into(connection: Any) -> None:
    """Create the triggers in the connection's database, unless they exist. Needs a superuser connection with pg_catalog
    as search_path.
    """
    with connection.transaction():
        connection.execute(FUNCTION)
        if not connection.execute(
            "SELECT 1 FROM pg_catalog.pg_event_trigger WHERE evtname = 'greenroom_guard'"
        ).fetchone():
            for statement in STATEMENTS[1:]:
                connection.execute(statement)
        untrusted_extensions.put_into(connection)


def everywhere(home: Path, connect: Callable[[str], Any]) -> None:
    """Create the triggers in template1 and in all existing databases of apps, once per home. ``connect``: opens a
    superuser connection to a database.
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
    """The databases of apps that the platform's role owns."""
    rows = connection.execute(
        "SELECT datname FROM pg_catalog.pg_database WHERE datname ~ %s AND datallowconn AND"
        " pg_catalog.pg_get_userbyid(datdba) = %s",
        [DATABASES, OWNER],
    ).fetchall()
    return {name for (name,) in rows}


def _is_put_into(name: str, connect: Callable[[str], Any]) -> bool:
    """Whether the database has the trigger now. False while it is dropped or replaced; the next start tries again."""
    try:
        with connect(name) as connection:
            put_into(connection)
    except Exception:
        return False
    return True
