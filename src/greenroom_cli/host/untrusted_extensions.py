"""Lets the owners of databases create pgvector and PostGIS, which PostgreSQL reserves for superusers.

An event trigger in each database creates them, in the moment before the owner's own ``CREATE EXTENSION IF NOT EXISTS``.
So a migration, a test database, the copy of a rehearsal and a restore create them as every other extension. Only a
superuser can make the trigger: ``greenroom up`` does it, and not on an external PostgreSQL.
"""

from __future__ import annotations

from typing import Any

ALLOWED = ("vector", "postgis")
CAREFUL = ("postgis",)
"""Its script calls functions without naming their schema, so it runs only in a schema without functions of the app."""
FUNCTION = """
CREATE OR REPLACE FUNCTION pg_catalog.greenroom_extensions() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $extensions$
DECLARE
    found text[];
    target oid;
    caller name := CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role') END;
BEGIN
    IF current_setting('greenroom.extension', true) = 'being created'
        OR (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) THEN
        RETURN;
    END IF;
    FOR found IN SELECT regexp_matches(current_query(), 'create\\s+extension\\s+if\\s+not\\s+exists\\s+"?([a-z0-9_]+)"?'
        '(?:\\s+(?:with\\s+)?schema\\s+"?([a-z0-9_]+)"?)?', 'gi')
    LOOP
        target := to_regnamespace(quote_ident(coalesce(found[2], 'public')));
        CONTINUE WHEN lower(found[1]) <> ALL (ARRAY[{allowed}])
            OR NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = lower(found[1]))
            OR EXISTS (SELECT FROM pg_extension WHERE extname = lower(found[1]))
            OR NOT has_database_privilege(caller, current_database(), 'CREATE')
            OR target IS NULL OR NOT has_schema_privilege(caller, target, 'CREATE');
        IF lower(found[1]) = ANY (ARRAY[{careful}]) AND (
            EXISTS (SELECT FROM pg_proc p WHERE pronamespace = target AND NOT EXISTS (SELECT FROM pg_depend
                WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e'))
            OR EXISTS (SELECT FROM pg_operator o WHERE oprnamespace = target AND NOT EXISTS (SELECT FROM pg_depend
                WHERE classid = 'pg_operator'::regclass AND objid = o.oid AND deptype = 'e')))
        THEN
            RAISE EXCEPTION 'the extension % must be created before the app''s own functions in its schema', found[1]
                USING HINT = 'create it in an earlier migration, or in a schema without functions';
        END IF;
        PERFORM set_config('greenroom.extension', 'being created', true);
        EXECUTE format('CREATE EXTENSION %I SCHEMA %s', lower(found[1]), target::regnamespace);
        PERFORM set_config('greenroom.extension', '', true);
        UPDATE pg_extension SET extowner = to_regrole(quote_ident(caller)) WHERE extname = lower(found[1]);
        INSERT INTO pg_shdepend (dbid, classid, objid, objsubid, refclassid, refobjid, deptype)
            SELECT d.oid, 'pg_extension'::regclass, e.oid, 0, 'pg_authid'::regclass, e.extowner, 'o'
            FROM pg_extension e, pg_database d
            WHERE extname = lower(found[1]) AND datname = current_database();
    END LOOP;
END $extensions$
"""
"""The extension's objects belong to the superuser and the extension itself to the caller, as for trusted extensions."""
TRIGGER = (
    "CREATE EVENT TRIGGER greenroom_extensions ON ddl_command_start WHEN TAG IN ('CREATE EXTENSION') EXECUTE FUNCTION"
    " pg_catalog.greenroom_extensions()"
)
HIDDEN = "ALTER EXTENSION plpgsql ADD EVENT TRIGGER greenroom_extensions"
"""pg_dump skips members of an extension."""


def put_into(connection: Any) -> None:
    """Create the trigger in the connection's database, unless it exists. Needs a superuser connection with pg_catalog
    as search_path.
    """
    words = {"allowed": _listed(ALLOWED), "careful": _listed(CAREFUL)}
    connection.execute(FUNCTION.format(**words))
    if not connection.execute(
        "SELECT 1 FROM pg_catalog.pg_event_trigger WHERE evtname = 'greenroom_extensions'"
    ).fetchone():
        connection.execute(TRIGGER)
        connection.execute(HIDDEN)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)
