"""``greenroom upgrade`` runs this as the control plane's user: list, dump, rehearsal, migration, and the way back.

Reads its task as JSON from stdin: ``{"do": "pending"}``, ``{"do": "dump", "path"}``, ``{"do": "rehearse", "path"}``,
``{"do": "migrate"}`` or ``{"do": "back", "path"}``. The result is JSON on stdout.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import django

from greenroom.basics.errors import GreenroomError, PlatformError
from greenroom.project.backups.manifest import failure

COPY = "greenroom_upgrade_"
"""Prefix of the databases of rehearsals."""
EMPTY = """
DO $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT pg_catalog.format('%I.%I', schemaname, tablename) AS name
        FROM pg_catalog.pg_tables WHERE schemaname = 'public'
    LOOP
        EXECUTE 'DROP TABLE IF EXISTS ' || r.name || ' CASCADE';
    END LOOP;
END $$;
"""
"""Drops all tables of the control database. It contains nothing else."""


def main() -> int:
    """Returns 0 with JSON on stdout, else 1 with ``failure``."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "greenroom.project.settings")
    os.umask(0o077)
    task = json.load(sys.stdin)
    try:
        django.setup()
        print(json.dumps(TASKS[task["do"]](task)))
    except (GreenroomError, OSError) as error:
        print(failure(error))
        return 1
    return 0


def pending(task: dict[str, Any]) -> dict[str, Any]:
    """``{"pending": [app.name]}`` of Greenroom's own database, in order, and ``unknown``: applied ones that this code
    does not have.
    """
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    applied, known = set(executor.loader.applied_migrations), set(executor.loader.disk_migrations)
    names = [f"{row.app_label}.{row.name}" for row, _ in plan]
    return {"pending": names, "unknown": sorted(".".join(key) for key in applied - known)}


def dump(task: dict[str, Any]) -> dict[str, Any]:
    """Dump the control database to the path, which appears when it is complete."""
    from greenroom.project.backups import copying

    path = Path(task["path"])
    draft = path.with_name(path.name + ".part")
    copying.dump_control(draft)
    draft.rename(path)
    return {"bytes": path.stat().st_size}


def rehearse(task: dict[str, Any]) -> dict[str, Any]:
    """Load the dump into a database of its own, migrate that, and drop it. PlatformError if the migrations fail."""
    from psycopg import sql

    from greenroom.addons.drivers import platform_server
    from greenroom.project.backups import copying

    name = COPY + secrets.token_hex(4)
    url = urlsplit(os.environ["DATABASE_URL"])
    env = {**os.environ, "DATABASE_URL": urlunsplit(url._replace(path=f"/{name}"))}
    with platform_server.connect() as connection:
        _drop_copies(connection)
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            copying.load_control(Path(task["path"]), database=name)
            argv = [sys.executable, "-m", "greenroom.project.upgrading"]
            words = json.dumps({"do": "migrate"})
            child = subprocess.run(argv, env=env, input=words, capture_output=True, text=True, check=False)
        finally:
            _drop_copies(connection)
    if child.returncode:
        lines = child.stderr.strip().splitlines()[-4:] or ["no error message"]
        raise PlatformError(
            f"The migrations fail on a copy of the control database: {' / '.join(lines)[:1500]}",
            hint="nothing was changed: install the previous version again, and report this error",
        )
    return {}


def _drop_copies(connection: Any) -> None:
    from psycopg import sql

    rows = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [COPY]).fetchall()
    for (name,) in rows:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def migrate(task: dict[str, Any]) -> dict[str, Any]:
    """Run the pending migrations. PlatformError, after which those before the failed one are applied."""
    from django.core.management import call_command
    from django.db import Error

    try:
        call_command("migrate", verbosity=0, interactive=False)
    except (Error, ValueError, LookupError, AttributeError, TypeError) as error:
        raise PlatformError(f"{type(error).__name__}: {str(error).strip()}") from error
    return {}


def back(task: dict[str, Any]) -> dict[str, Any]:
    """Replace the control database by a dump, in one transaction. PlatformError."""
    from greenroom.project.backups import copying

    source = Path(task["path"])
    script = source.with_name(source.name + ".sql.part")
    body = source.with_name(source.name + ".body.part")
    try:
        copying.program("pg_restore", ["--no-owner", "--no-privileges", f"--file={body}", str(source)])
        with script.open("w") as out, body.open() as lines:
            out.write(EMPTY)
            # psql of another minor version may not know \restrict
            out.writelines(line for line in lines if not line.startswith(("\\restrict", "\\unrestrict")))
        copying.program(
            "psql", ["--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", f"--file={script}"]
        )
    finally:
        script.unlink(missing_ok=True)
        body.unlink(missing_ok=True)
    return {}


TASKS = {"pending": pending, "dump": dump, "rehearse": rehearse, "migrate": migrate, "back": back}

if __name__ == "__main__":
    sys.exit(main())
