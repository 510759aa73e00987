"""Reports a Django app's pending migrations, in one process: the app is imported once, nothing is changed.

The app's Python runs it in a dyno of the release: ``python - FOLDER``. Writes ``FOLDER/probe.json``, or prints it
without a folder.
"""

from __future__ import annotations

import ast
import json
import os
import re
import sys
import time
import traceback

VARIABLE = "DJANGO_SETTINGS_MODULE"
FALLBACK = re.compile(VARIABLE + r"""["']\s*[,\]]\s*=?\s*[^"'\n]*["']([A-Za-z_][\w.]*)["']""")
LITERAL = re.compile(r"'(?:[^']|'')*'")
TABLES = re.compile(r'''\b(TABLE|ON|UPDATE)\s+(?:IF\s+EXISTS\s+|ONLY\s+)*"([^"]+)"''')
MOST, COUNTED, SQL_SECONDS, PAGE_SECONDS, HOPS = 200, 1000000, 20, 20, 6
NOT_THERE = re.compile(r"does not exist|no such (table|column)|doesn't exist|Unknown column", re.I)
BEGAN = time.monotonic()
SKIPPED = {"node_modules", "__pycache__", "site-packages"}
INSTALLED = {"site-packages", "dist-packages", ".heroku", ".venv", "venv", "node_modules"}


def find_manage(root):
    """The path of the shallowest manage.py, at most three levels deep; None if there is none."""
    level = [root]
    for _ in range(3):
        below = []
        for folder in level:
            path = os.path.join(folder, "manage.py")
            if os.path.isfile(path):
                return path
            try:
                names = sorted(os.listdir(folder))
            except OSError:
                continue
            kept = [name for name in names if not name.startswith(".") and name not in SKIPPED]
            below += [os.path.join(folder, name) for name in kept if os.path.isdir(os.path.join(folder, name))]
        level = below
    return None


def settings_module(source):
    """The settings module that a manage.py names, read without execution; None if it is unknown."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        tree = ast.Module(body=[], type_ignores=[])
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "setdefault" and len(node.args) == 2:
            key, value = node.args
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            key, value = node.targets[0].slice, node.value
            key = getattr(key, "value", key) if not isinstance(key, ast.Constant) else key
        else:
            continue
        if isinstance(key, ast.Constant) and key.value == VARIABLE and isinstance(value, ast.Constant):
            return value.value
    found = FALLBACK.search(source)
    return found.group(1) if found else None


def prepare(root):
    """Set the settings module and the import path like manage.py. Returns (status, detail, kind), or None on
    success.
    """
    manage = find_manage(root)
    if manage is None and VARIABLE not in os.environ:
        return "none", "there is no manage.py", ""
    folder = os.path.dirname(manage) if manage else root
    sys.path[:] = [folder] + [path for path in sys.path if path not in ("", folder)]
    os.chdir(folder)
    if VARIABLE not in os.environ:
        with open(manage, encoding="utf-8", errors="replace") as file:
            module = settings_module(file.read())
        if not module:
            return "error", "manage.py does not name its settings module; set the config var " + VARIABLE, "settings"
        os.environ[VARIABLE] = module
    try:
        import django  # noqa: F401
    except ImportError:
        return "none", "Django is not installed", ""
    return None


def inspect(path="", host="", first=""):
    """The state of the migrations against the default database, as a map. Django's errors propagate.

    path, host: the health path and the host name; the page is requested once, in process, with pending migrations and
    for the first release (first).
    """
    import django
    from django.conf import settings
    from django.db import DEFAULT_DB_ALIAS, connections
    from django.db.migrations.executor import MigrationExecutor

    django.setup()
    if settings.DATABASES.get(DEFAULT_DB_ALIAS, {}).get("ENGINE", "").endswith(".dummy"):
        return {"status": "ok", "detail": "no database is configured", "about": about(settings, "")}
    connection = connections[DEFAULT_DB_ALIAS]
    connection.ensure_connection()
    executor = MigrationExecutor(connection)
    loader = executor.loader
    plan = [migration for migration, _ in executor.migration_plan(loader.graph.leaf_nodes())]
    replaced = {tuple(name) for migration in loader.disk_migrations.values() for name in migration.replaces}
    applied = set(loader.applied_migrations) - set(loader.disk_migrations) - replaced
    conflicts = {app: sorted(names) for app, names in loader.detect_conflicts().items()}
    steps = [describe(migration) for migration in plan[:MOST]]
    if not conflicts:
        foresee(connection, executor, plan[:MOST], steps)
    return {
        "status": "ok",
        "pending": [str(migration) for migration in plan],
        "missing": sorted(".".join(name) for name in applied),
        "conflicts": conflicts,
        "plan": steps,
        "rows": rows_of(connection, steps),
        "unmade": [] if conflicts else unmade(loader),
        "lacking": lacking(connection),
        "detail": "",
        "version": django.get_version(),
        "about": dict(
            about(settings, connection.vendor), **({"page": page(path, host)} if path and (plan or first) else {})
        ),
    }


def about(settings, vendor):
    """Settings that help to explain a failed boot: database vendor, DEBUG, origin of the secret key, WSGI module."""
    return {
        "vendor": vendor,
        "debug": bool(settings.DEBUG),
        "insecure_key": str(settings.SECRET_KEY).startswith("django-insecure-"),
        "wsgi": str(getattr(settings, "WSGI_APPLICATION", None) or "").rpartition(".")[0],
    }


def page(path, host):
    """The response of the health path on this schema: {status}, or {error, schema} with the exception.

    A server hides the exception unless DEBUG is on. Redirects within the app are followed, as by the health check, and
    without cookies.
    """
    import signal

    def late(*_):
        raise TimeoutError("no answer in %d s" % PAGE_SECONDS)

    signal.signal(signal.SIGALRM, late)
    signal.alarm(PAGE_SECONDS)
    try:
        return {"status": last_status("https://" + (host or "localhost") + path)}
    except Exception as error:
        return {"error": explain(error)[1], "schema": by_the_schema(error)}
    finally:
        signal.alarm(0)


def last_status(url):
    """The status at the end of the redirects. Exceptions of the app propagate."""
    from urllib.parse import urlsplit

    from django.test import Client

    seen, host = set(), urlsplit(url).hostname or ""
    own = {host, "www." + host, host[4:] if host.startswith("www.") else host}
    while True:
        seen.add(url)
        parts = urlsplit(url)
        target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        header = {"HTTP_HOST": parts.hostname, "HTTP_X_FORWARDED_PROTO": parts.scheme}
        answer = Client().get(target, secure=parts.scheme == "https", **header)
        url, to = redirected(url, answer)
        if to not in own or url in seen or len(seen) >= HOPS:
            return answer.status_code


def redirected(url, answer):
    """The address of a redirect, without port and fragment, and its host name; both empty if there is none."""
    from urllib.parse import urljoin, urlsplit

    if not 300 <= answer.status_code < 400 or not answer.get("Location"):
        return "", ""
    try:
        goal = urlsplit(urljoin(url, answer["Location"]))
        query = "?" + goal.query if goal.query else ""
        return "%s://%s%s" % (goal.scheme, goal.hostname, goal.path or "/") + query, goal.hostname
    except ValueError:
        return "", ""


def by_the_schema(error):
    """Whether a missing table or column is the exception's direct or indirect cause."""
    seen = 0
    while error is not None and seen < 20:
        names = {cls.__name__ for cls in type(error).__mro__}
        if names & {"UndefinedTable", "UndefinedColumn"} or (
            names & {"ProgrammingError", "OperationalError"} and NOT_THERE.search(str(error))
        ):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


def lacking(connection):
    """``table.column`` that the models need and existing tables lack: each query on such a model fails.

    Missing tables are left out: only new code uses them.
    """
    from django.apps import apps

    found = []
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
        for model in apps.get_models(include_auto_created=True):
            options = model._meta
            if not options.managed or options.proxy or options.swapped or options.db_table not in tables:
                continue
            there = {row.name for row in connection.introspection.get_table_description(cursor, options.db_table)}
            needed = [str(field.column) for field in options.local_concrete_fields]
            found += [str(options.db_table) + "." + column for column in needed if column not in there]
    return sorted(set(found))[:200]


def is_own(config, loader):
    """Whether the team can commit a migration of this app: its code or its MIGRATION_MODULES is not in an installed
    package.
    """
    import importlib.util

    places = [config.path]
    try:
        name = loader.migrations_module(config.label)[0]
        spec = importlib.util.find_spec(name) if name else None
        places += list(spec.submodule_search_locations or []) if spec else []
    except (ImportError, ValueError):
        pass
    return not INSTALLED & set(os.path.realpath(places[-1]).split(os.sep))


def unmade(loader):
    """``app: change`` for each change of the team's models without a migration; empty if Django cannot determine it."""
    from django.apps import apps
    from django.db.migrations.autodetector import MigrationAutodetector
    from django.db.migrations.questioner import MigrationQuestioner
    from django.db.migrations.state import ProjectState

    try:
        detector = MigrationAutodetector(loader.project_state(), ProjectState.from_apps(apps), MigrationQuestioner())
        changes = detector.changes(graph=loader.graph)
    except Exception:
        traceback.print_exc()
        return []
    kept = [app for app in sorted(changes) if is_own(apps.get_app_config(app), loader)]
    found = [(app, operation) for app in kept for migration in changes[app] for operation in migration.operations]
    return [str(app) + ": " + str(operation.describe())[:200] for app, operation in found[:50]]


def foresee(connection, executor, plan, steps):
    """Add the SQL of each pending migration, as far as it is known without a run."""
    state = None
    for migration, step in zip(plan, steps):  # noqa: B905 -- Python 3.8
        if time.monotonic() - BEGAN > SQL_SECONDS:
            return
        try:
            state = executor._create_project_state(with_applied_migrations=True) if state is None else state
            with connection.schema_editor(collect_sql=True, atomic=migration.atomic) as editor:
                state = migration.apply(state, editor, collect_sql=True)
            lines = [" ".join(LITERAL.sub("'?'", str(line)).split()) for line in editor.collected_sql]
            step["statements"] = [line[:1000] for line in lines if line and not line.startswith("--")][:100]
        except Exception as error:
            step["statements"], step["unforeseen"] = [], type(error).__name__
            return


def rows_of(connection, steps):
    """{table: rows} of the tables that pending migrations alter: counted up to a million, estimated above."""
    names = {match.group(2) for step in steps for line in step.get("statements", ()) for match in TABLES.finditer(line)}
    found: dict = {}
    if connection.vendor != "postgresql":
        return found
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, reltuples::bigint FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p') AND relname ="
            " ANY(%s)",
            [sorted(names)],
        )
        estimates = dict(cursor.fetchall())
        cursor.execute("SET statement_timeout = '2s'")
        for name, estimate in sorted(estimates.items())[:50]:
            if estimate >= COUNTED:
                found[name] = estimate
                continue
            try:
                quoted = connection.ops.quote_name(name)
                cursor.execute("SELECT count(*) FROM (SELECT 1 FROM %s LIMIT %d) t" % (quoted, COUNTED))
                found[name] = cursor.fetchone()[0]
            except Exception:
                if estimate >= 0:
                    found[name] = estimate
    return found


def reversible(operation):
    """Whether an operation is reversible, including its database operations (SeparateDatabaseAndState always reports
    True).
    """
    return bool(operation.reversible) and all(
        reversible(one) for one in getattr(operation, "database_operations", None) or ()
    )


def describe(migration):
    """One pending migration: its operations and whether it is reversible."""
    return {
        "name": str(migration),
        "operations": [str(operation.describe())[:200] for operation in migration.operations[:50]],
        "reversible": all(reversible(operation) for operation in migration.operations),
        "atomic": bool(migration.atomic),
        "parent": max([str(name) for app, name in migration.dependencies if app == migration.app_label], default=""),
    }


def explain(error):
    """(kind, detail) of an exception: ``database`` if the database did not respond, else ``code``."""
    names = {cls.__name__ for cls in type(error).__mro__}
    modules = {cls.__module__.split(".")[0] for cls in type(error).__mro__}
    down = names & {"OperationalError", "InterfaceError"} and modules & {"django", "psycopg", "psycopg2", "sqlite3"}
    text = " ".join(str(error).split())[:500] or "no message"
    return ("database" if down else "code"), type(error).__name__ + ": " + text


def probe(root, *asked):
    """The whole answer; never raises, and never returns ``ok`` without a database query."""
    answer = {"framework": "django", "pending": [], "missing": [], "conflicts": {}, "plan": [], "kind": ""}
    try:
        early = prepare(root)
        if early:
            status, detail, kind = early
            framework = "none" if status == "none" else "django"
            return dict(answer, framework=framework, status=status, detail=detail, kind=kind)
        return dict(answer, **inspect(*asked))
    except SystemExit as error:
        return dict(answer, status="error", kind="code", detail=f"the app exited while it was loaded: {error.code}")
    except BaseException as error:
        traceback.print_exc()
        kind, detail = explain(error)
        return dict(answer, status="error", kind=kind, detail=detail)


def main(argv):
    """Write the answer and exit at once, even if the app has started threads."""
    text = json.dumps(probe(os.getcwd(), *argv[2:5]))
    if len(argv) > 1:
        target = os.path.join(argv[1], "probe.json")
        with open(target + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(target + ".new", 0o644)
        os.rename(target + ".new", target)
    else:
        print(text)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv)
