"""Reports an Alembic app's pending revisions. Its own env.py opens the connection; nothing is changed.

The app's Python runs it in a dyno of the release: ``python - FOLDER``. Writes ``FOLDER/probe.json``, or prints it
without a folder.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
import traceback

VARIABLE = "ALEMBIC_CONFIG"
PLACES = ("alembic.ini", "migrations/alembic.ini", "alembic/alembic.ini", "db/alembic.ini")
LITERAL = re.compile(r"'(?:[^']|'')*'")
RUNNING = re.compile(r"^-- Running upgrade .*?->\s*(\w+)", re.MULTILINE)
TABLES = re.compile(r"\b(?:TABLE|ON|UPDATE)\s+(?:IF\s+EXISTS\s+|ONLY\s+)*\"?([A-Za-z_]\w*)\"?")
MOST, COUNTED = 200, 1000000


def find_ini(root):
    """The path of the app's alembic.ini: ALEMBIC_CONFIG, else the first of the usual locations; None if there is
    none.
    """
    for name in (os.environ.get(VARIABLE), *PLACES):
        if name and os.path.isfile(os.path.join(root, name)):
            return os.path.join(root, name)
    return None


def label(revision):
    """``3f2a9c1b add the price``: the revision id and the first line of its message."""
    words = " ".join(str(revision.doc or "").split("\n")[0].split())[:100]
    return (str(revision.revision) + " " + words).strip()


class Asked:
    """Facts from env.py's own connection: the applied revisions and the schema that the models need."""

    def __init__(self, script):
        self.script, self.lacking, self.unmade = script, [], []
        self.heads: tuple = ()
        self.rows: dict = {}

    def __call__(self, heads, context):
        """Alembic's hook, called with the heads of the database. Returns no step, so that nothing runs."""
        self.heads = tuple(heads if isinstance(heads, (tuple, list)) else [heads] if heads else [])
        connection, target = context.connection, context.opts.get("target_metadata")
        if connection is not None:
            self.look(
                context,
                connection,
                [one for one in (target if isinstance(target, (list, tuple)) else [target]) if one is not None],
            )
        return []

    def look(self, context, connection, metadatas):
        """Compare the models with the tables."""
        from sqlalchemy import inspect

        inspector = inspect(connection)
        tables = set(inspector.get_table_names())
        for metadata in metadatas:
            for table in metadata.tables.values():
                if table.schema is None and table.name in tables:
                    there = {column["name"] for column in inspector.get_columns(table.name)}
                    self.lacking += [
                        table.name + "." + column.name for column in table.columns if column.name not in there
                    ]
        if metadatas and set(self.heads) == set(self.script.get_heads()):
            self.unmade = differences(context, metadatas)
        if connection.dialect.name == "postgresql":
            self.rows = {
                name: count for name in sorted(tables)[:200] if (count := rows_in(connection, name)) is not None
            }


def differences(context, metadatas):
    """Descriptions of model changes without a revision; queried only if the database is at the newest revision."""
    from alembic.autogenerate import compare_metadata

    found = []
    try:
        for metadata in metadatas:
            found += [
                one
                for step in compare_metadata(context, metadata)
                for one in (step if isinstance(step, list) else [step])
            ]
    except Exception:
        traceback.print_exc()
        return []
    return [words_of(step)[:200] for step in found[:50]]


def words_of(step):
    """``add column shop_item.price`` for one difference that Alembic reports."""
    things = [getattr(part, "name", part) for part in step[1:] if isinstance(part, str) or getattr(part, "name", None)]
    return str(step[0]).replace("_", " ") + " " + ".".join(str(thing) for thing in things)


def rows_in(connection, name):
    """The server's row estimate for the table; None if it has none."""
    from sqlalchemy import text

    query = "SELECT reltuples::bigint FROM pg_catalog.pg_class WHERE relname = :name AND relkind IN ('r', 'p')"
    known = connection.execute(text(query), {"name": name}).scalar()
    return known if known is not None and known >= 0 else None


def sql_of(config, script, heads):
    """{revision: statements} of Alembic's offline mode; empty if env.py does not support it."""
    from alembic.runtime.environment import EnvironmentContext

    out = io.StringIO()

    def upgrade(revision, context):
        return script._upgrade_revs("heads", revision)

    try:
        start = heads[0] if len(heads) == 1 else None
        with (
            contextlib.redirect_stdout(io.StringIO()),
            EnvironmentContext(
                config, script, fn=upgrade, as_sql=True, starting_rev=start, destination_rev="heads", output_buffer=out
            ),
        ):
            script.run_env()
    except BaseException:
        traceback.print_exc()
        return {}
    parts = RUNNING.split(out.getvalue())
    return {revision: statements(text) for revision, text in zip(parts[1::2], parts[2::2])}  # noqa: B905 -- Python 3.8


def statements(text):
    """One line for each statement, without string literals and without Alembic's own table."""
    lines = [line for line in text.split("\n") if not line.startswith("--")]
    whole = [" ".join(LITERAL.sub("'?'", part).split())[:1000] for part in "\n".join(lines).split(";\n")]
    own = re.compile(r"^(BEGIN|COMMIT|(INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE) alembic_version)\b")
    return [part for part in whole if part and not own.match(part)][:100]


def inspect_app(ini):
    """The state of the revisions against the database, as a map. Errors of the app and of Alembic propagate."""
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config(ini)
    script = ScriptDirectory.from_config(config)
    asked = Asked(script)
    with EnvironmentContext(config, script, fn=asked, dont_mutate=True):
        script.run_env()
    known = {revision.revision: revision for revision in script.walk_revisions()}
    missing = [head for head in asked.heads if head not in known]
    applied = set()
    for head in asked.heads:
        if head in known:
            applied |= {revision.revision for revision in script.iterate_revisions(head, "base")}
    newest = list(script.get_heads())
    order = [] if missing else [one for one in reversed(list(script.walk_revisions())) if one.revision not in applied]
    written = sql_of(config, script, asked.heads) if order and not missing and len(newest) == 1 else {}
    steps = [describe(one, written.get(one.revision, [])) for one in order[:MOST]]
    touched = {name for step in steps for line in step["statements"] for name in TABLES.findall(line)}
    return {
        "status": "ok",
        "pending": [label(one) for one in order],
        "missing": missing,
        "conflicts": {"heads": sorted(label(known[head]) for head in newest)} if len(newest) > 1 else {},
        "plan": steps,
        "rows": {name: count for name, count in asked.rows.items() if name in touched},
        "unmade": asked.unmade,
        "lacking": sorted(set(asked.lacking))[:MOST],
        "detail": "",
    }


def describe(revision, lines):
    """One pending revision: its operations as far as offline mode shows them, and whether it is reversible."""
    source = revision.module.downgrade if hasattr(revision.module, "downgrade") else None
    empty = source is None or not set(source.__code__.co_names)
    return {"name": label(revision), "operations": [], "reversible": not empty, "atomic": True, "statements": lines}


def explain(error):
    """(kind, detail) of an exception: ``database`` if the database did not respond, else ``code``."""
    names = {cls.__name__ for cls in type(error).__mro__}
    modules = {cls.__module__.split(".")[0] for cls in type(error).__mro__}
    down = names & {"OperationalError", "InterfaceError"} and modules & {"sqlalchemy", "psycopg", "psycopg2", "asyncpg"}
    text = " ".join(str(error).split())[:500] or "no message"
    return ("database" if down else "code"), type(error).__name__ + ": " + text


def probe(root):
    """The whole answer; never raises, and never returns ``ok`` without a database query."""
    answer = {"framework": "alembic", "pending": [], "missing": [], "conflicts": {}, "plan": [], "kind": ""}
    ini = find_ini(root)
    if ini is None:
        return dict(answer, framework="none", status="none", detail="there is no alembic.ini")
    try:
        import alembic  # noqa: F401
    except ImportError:
        return dict(answer, framework="none", status="none", detail="Alembic is not installed")
    sys.path[:] = [root] + [path for path in sys.path if path not in ("", root)]
    os.chdir(root)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return dict(answer, **inspect_app(ini))
    except SystemExit as error:
        return dict(answer, status="error", kind="code", detail="the app exited while it was loaded: %s" % error.code)
    except BaseException as error:
        traceback.print_exc()
        kind, detail = explain(error)
        return dict(answer, status="error", kind=kind, detail=detail)


def main(argv):
    """Write the answer and exit at once, even if the app has started threads."""
    text = json.dumps(probe(os.getcwd()))
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
