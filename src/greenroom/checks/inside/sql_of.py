"""Writes the SQL of migrations per operation, like ``sqlmigrate``, without a database. Runs in the app's Python.

``python sql_of.py MANAGE OUT PATH...`` uses the settings of manage.py and writes a JSON list to OUT, one entry per
migration in order. Standard library and the app's Django only.
"""

from __future__ import annotations

import ast
import json
import os
import runpy
import sys

VERSION = 180000
"""The server version for Django, because there is no server to query."""


def operations_of(path):
    """The line of each operation in a migration file; empty if ``operations`` is not a literal list."""
    with open(path, encoding="utf-8", errors="replace") as file:
        tree = ast.parse(file.read())
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Assign)
            and getattr(node.targets[0], "id", "") == "operations"
            and isinstance(node.value, ast.List)
        ):
            return [item.lineno for item in node.value.elts]
    return []


def quiet(editor, base):
    """A schema editor class without database queries: parameters become literals, constraints get a generated name."""
    editor.execute = lambda sql, params=(): base.execute(editor, sql, params)
    editor._constraint_names = lambda model, column_names=None, **kinds: [
        f"constraint_on_{'_'.join(column_names or ['table'])}"
    ]
    return editor


def statements(connection, migration, state):
    """[statements] for each operation of the migration; ``state`` is the project state before it."""
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.operations import SeparateDatabaseAndState

    found: list[list[str]] = []
    for operation in migration.operations:
        before = state.clone()
        operation.state_forwards(migration.app_label, state)
        if not operation.reduces_to_sql and not isinstance(operation, SeparateDatabaseAndState):
            found.append([])
            continue
        editor = connection.schema_editor(collect_sql=True, atomic=False)
        with quiet(editor, BaseDatabaseSchemaEditor):
            operation.database_forwards(migration.app_label, editor, before, state)
        found.append([line for line in editor.collected_sql if not line.startswith("--")])
    return found


def collect(paths):
    """One entry per wanted migration: {path, app, name, atomic, lines, operations, problem}."""
    import django
    from django.db import connection
    from django.db.migrations.loader import MigrationLoader

    django.setup()
    if connection.vendor != "postgresql":
        return {"vendor": connection.vendor, "migrations": []}
    connection.__dict__["pg_version"] = VERSION
    loader = MigrationLoader(None)
    files = {
        os.path.realpath(sys.modules[row.__module__].__file__ or ""): key for key, row in loader.disk_migrations.items()
    }
    wanted = {files[os.path.realpath(path)]: path for path in paths if os.path.realpath(path) in files}
    rows = []
    for key in _ordered(loader, wanted):
        migration = loader.graph.nodes[key]
        row = {
            "path": wanted[key],
            "app": key[0],
            "name": key[1],
            "atomic": migration.atomic,
            "operations": [],
            "problem": "",
        }
        try:
            row["lines"] = operations_of(wanted[key])
            row["operations"] = statements(connection, migration, loader.project_state(key, at_end=False))
        except Exception as error:  # third-party operations may raise anything
            row["problem"] = f"{type(error).__name__}: {error}"[:300]
        rows.append(row)
    return {"vendor": connection.vendor, "migrations": rows}


def _ordered(loader, wanted):
    """The wanted migrations in the graph, after their dependencies."""
    order = []
    for leaf in sorted(loader.graph.leaf_nodes()):
        order += [key for key in loader.graph.forwards_plan(leaf) if key not in order]
    return [key for key in order if key in wanted]


def main(argv):
    """Run ``collect`` in place of a manage.py command."""
    from django.core import management

    manage, out, paths = argv[0], argv[1], argv[2:]

    def work(_=None):
        with open(out, "w", encoding="utf-8") as file:
            json.dump(collect(paths), file)

    management.execute_from_command_line = work
    sys.argv = [manage, "sqlmigrate"]
    sys.path.insert(0, os.path.dirname(os.path.abspath(manage)))
    runpy.run_path(manage, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
