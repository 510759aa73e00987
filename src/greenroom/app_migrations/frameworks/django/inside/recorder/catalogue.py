"""The database catalogue: relations with their files, columns, row counters, and a sorted schema listing to compare."""

RELATIONS = (
    "SELECT c.oid::bigint, CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || c.relname,"
    " c.relkind::text, pg_catalog.pg_relation_filenode(c.oid)::bigint FROM pg_catalog.pg_class c JOIN"
    " pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'm', 'i') AND n.nspname !~"
    " '^pg_' AND n.nspname <> 'information_schema'"
)
COLUMNS = (
    "SELECT c.oid::bigint, a.attnum::int, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod),"
    " a.attnotnull, a.atthasdef OR a.attidentity <> '', coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '') FROM"
    " pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON"
    " n.oid = c.relnamespace LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE"
    " c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND n.nspname !~ '^pg_' AND n.nspname <>"
    " 'information_schema'"
)
INDEXES = (
    "SELECT pg_catalog.pg_get_indexdef(c.oid) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid ="
    " c.relnamespace WHERE c.relkind = 'i' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
)
CONSTRAINTS = (
    "SELECT r.conrelid::regclass::text, r.conname::text, pg_catalog.pg_get_constraintdef(r.oid) FROM"
    " pg_catalog.pg_constraint r JOIN pg_catalog.pg_namespace n ON n.oid = r.connamespace WHERE r.conrelid <> 0 AND"
    " r.contype IN ('c', 'f', 'p', 'u', 'x') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
)
COUNTERS = "SELECT relid::bigint, relname::text, n_tup_ins, n_tup_upd, n_tup_del FROM pg_catalog.pg_stat_user_tables"


INVALID = "SELECT indexrelid::regclass::text FROM pg_catalog.pg_index WHERE NOT indisvalid ORDER BY 1"


def broken(raw):
    """Note about the invalid index of a failed CREATE INDEX CONCURRENTLY, to end a sentence with; empty if there is
    none.
    """
    try:
        names = [name for (name,) in rows_of(raw, INVALID)]
    except Exception:  # the connection may be unusable after an error
        return ""
    return " (the invalid index " + ", ".join(names) + " remains: drop it before the next attempt)" if names else ""


def rows_of(raw, query):
    """All rows of a query on the driver's own connection, bypassing Django's wrappers."""
    cursor = raw.cursor()
    try:
        cursor.execute(query)
        return cursor.fetchall()
    finally:
        cursor.close()


class Look:
    """The catalogue at one moment.

    relations: {oid: (name, kind, file)}; columns: {(oid, number): (name, type, not null, has default, default)}.
    """

    def __init__(self, raw):
        self.relations = {oid: (name, kind, file) for oid, name, kind, file in rows_of(raw, RELATIONS)}
        self.columns = {(row[0], row[1]): tuple(row[2:]) for row in rows_of(raw, COLUMNS)}

    def tables(self):
        """{oid: name} of tables."""
        return {oid: name for oid, (name, kind, _) in self.relations.items() if kind in "rp"}


def rewritten(raw, before, after):
    """Tables and indexes with a new file, and their present size in bytes."""
    found = []
    for oid, (name, kind, file) in sorted(after.relations.items()):
        old = before.relations.get(oid)
        if old and file and old[2] and old[2] != file:
            size = rows_of(raw, "SELECT pg_catalog.pg_relation_size(%d)" % oid)[0][0]
            found.append({"relation": name, "kind": "index" if kind == "i" else "table", "bytes": int(size or 0)})
    return found


def column_changes(before, after, known, counted):
    """Columns that were added, dropped or renamed in tables that existed before the plan.

    known: {oid: name}; counted: {(table, column): (rows, values)}.
    """
    found = []
    there = after.tables()
    for key in sorted(set(before.columns) | set(after.columns)):
        table = known.get(key[0])
        old, new = before.columns.get(key), after.columns.get(key)
        if table is None or key[0] not in there:
            continue
        if old is None:
            found.append({"change": "added", "table": table, "name": new[0], "required": bool(new[2] and not new[3])})
        elif new is None:
            rows, values = counted.get((there[key[0]], old[0]), counted.get((table, old[0]), (-1, -1)))
            found.append({"change": "dropped", "table": table, "name": old[0], "rows": rows, "values": values})
        elif old[0] != new[0]:
            found.append({"change": "renamed", "table": table, "name": old[0], "new": new[0]})
    return found


def table_changes(before, after, counted):
    """Tables that were created, dropped or renamed."""
    old, new = before.tables(), after.tables()
    found = [{"change": "created", "name": new[oid]} for oid in sorted(set(new) - set(old))]
    for oid in sorted(set(old) - set(new)):
        found.append({"change": "dropped", "name": old[oid], "rows": counted.get((old[oid], ""), (-1, -1))[0]})
    renamed = [oid for oid in sorted(set(old) & set(new)) if old[oid] != new[oid]]
    return found + [{"change": "renamed", "name": old[oid], "new": new[oid]} for oid in renamed]


def counters(raw, version):
    """{table: (inserted, updated, deleted)} since the last reset. version: the server's; 15 and later can flush the
    counters.
    """
    if version >= 150000:
        rows_of(raw, "SELECT pg_catalog.pg_stat_force_next_flush()")
    rows_of(raw, "SELECT pg_catalog.pg_stat_clear_snapshot()")
    return {name: (ins, upd, gone) for _, name, ins, upd, gone in rows_of(raw, COUNTERS)}


def written(before, after):
    """{table: [inserted, updated, deleted]} between two counts, without Django's migration table."""
    found = {}
    for name, now in after.items():
        change = [new - old for new, old in zip(now, before.get(name, (0, 0, 0)))]  # noqa: B905 -- Python 3.8
        if name != "django_migrations" and any(count > 0 for count in change):
            found[name] = [max(count, 0) for count in change]
    return found


def listing(raw):
    """The schema as a set of lines that do not depend on column order, without Django's migration table."""
    look = Look(raw)
    tables = look.tables()
    lines = {"table " + name for name in tables.values()}
    for (oid, _), (name, kind, required, _, default) in look.columns.items():
        words = ("column", tables[oid] + "." + name, kind, "not null" if required else "null", default)
        lines.add(" ".join(word for word in words if word))
    lines.update(row[0] for row in rows_of(raw, INDEXES))
    lines.update("constraint %s on %s %s" % (name, table, text) for table, name, text in rows_of(raw, CONSTRAINTS))
    return {line for line in lines if "django_migrations" not in line}
