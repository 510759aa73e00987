"""Run by the app's own Python: writes the SQL of some migrations, operation by operation, as ``sqlmigrate`` would,
without a database.

``python sql_of.py MANAGE OUT PATH...``: settings are those of manage.py. OUT gets a JSON list, one entry for each
migration in its order.
Standard library and the app's Django only.
"""

from __future__ import annotations

import ast
import json
import os
import runpy
import sys

VERSION = 180000
"""The server's version that Django is told: SQL is written without asking one."""


def operations_of(path):
    """The line of each operation in a migration's file, in their order; empty when the list is not written out."""
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
    """Make an editor that asks no database: parameters are put in as literals, constraints get the name that is looked
    for.
    """
    editor.execute = lambda sql, params=(): base.execute(editor, sql, params)
    editor._constraint_names = lambda model, column_names=None, **kinds: [
        f"constraint_on_{'_'.join(column_names or ['table'])}"
    ]
    return editor


def statements(connection, migration, state):
    """[statements] for each operation of the migration; ``state`` is the one before it."""
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
    """What there is to say of each wanted migration: {path, app, name, atomic, lines, operations, problem}."""
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
        except Exception as error:  # an operation of somebody else may do anything
            row["problem"] = f"{type(error).__name__}: {error}"[:300]
        rows.append(row)
    return {"vendor": connection.vendor, "migrations": rows}


def _ordered(loader, wanted):
    """The wanted migrations that are in the graph, each after those that it needs."""
    order = []
    for leaf in sorted(loader.graph.leaf_nodes()):
        order += [key for key in loader.graph.forwards_plan(leaf) if key not in order]
    return [key for key in order if key in wanted]


def main(argv):
    """Do it in the place of the command that manage.py would run."""
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
