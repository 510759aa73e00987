"""Watches the migrating connection: its statements, its locks with their durations, and the data that it will drop."""

import re
import threading
import time

from . import catalogue

INTERVAL = 0.005
"""Seconds between two lock samples from the second connection."""
KEEP = 200
LOCKS = (
    "SELECT l.relation::bigint, l.mode FROM pg_catalog.pg_locks l WHERE l.locktype = 'relation' AND l.granted AND"
    " l.relation IS NOT NULL AND l.pid = "
)
LITERAL = re.compile(r"'(?:[^']|'')*'")
DATA = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|SAVEPOINT|RELEASE|ROLLBACK|SET|SHOW)\b", re.IGNORECASE)
NAME = r'((?:"[^"]+"|[\w$]+)(?:\.(?:"[^"]+"|[\w$]+))?)'
DROP_TABLE = re.compile(r"\s*DROP\s+TABLE\s+(?:IF\s+EXISTS\s+)?" + NAME, re.IGNORECASE)
DROP_COLUMN = re.compile(
    r"\s*ALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?" + NAME + r".*?\bDROP\s+COLUMN\s+(?:IF\s+EXISTS\s+)?" + NAME,
    re.IGNORECASE | re.DOTALL,
)
MOST = 1000001


def redacted(sql, limit=1000):
    """A statement on one line, without string literals."""
    return " ".join(LITERAL.sub("'?'", str(sql)).split())[:limit]


def bare(name):
    """``"public"."shop_item"`` as ``shop_item``."""
    parts = [part.strip('"') for part in re.findall(r'"[^"]+"|[\w$]+', name)]
    return ".".join(parts[1:] if parts[:1] == ["public"] else parts)


class Poller(threading.Thread):
    """Samples the locks of one backend from a second connection, including those of autocommit statements."""

    def __init__(self, connection, pid):
        threading.Thread.__init__(self, daemon=True)
        self.connection, self.pid = connection, pid
        self.held, self.over, self.ready, self.error = {}, threading.Event(), threading.Event(), ""

    def run(self):
        other = self.connection.copy()
        try:
            other.ensure_connection()
            self.ready.set()
            last = time.perf_counter()
            while not self.over.wait(INTERVAL):
                seen = catalogue.rows_of(other.connection, LOCKS + str(int(self.pid)))
                now = time.perf_counter()
                for key in {(oid, mode) for oid, mode in seen}:
                    self.held[key] = self.held.get(key, 0.0) + now - last
                last = now
        except Exception as error:
            self.error = type(error).__name__
        finally:
            self.ready.set()
            other.close()

    def take(self):
        """{(oid, mode): seconds} since the last call."""
        held, self.held = self.held, {}
        return held


class Watch:
    """The effects of one migration. Wraps each statement of Django's connection."""

    def __init__(self, connection, before):
        self.connection, self.before = connection, before
        self.statements, self.count, self.first, self.own = [], 0, {}, 0.0
        self.counted, self.known_texts = {}, set()
        self.names = {name: oid for oid, name in before.tables().items()}

    def __call__(self, execute, sql, params, many, context):
        text = redacted(sql)
        self.count += 1
        if len(self.statements) < KEEP:
            self.statements.append(text)
        self._aside(self._count_losses, str(sql))
        began = time.perf_counter()
        result = execute(sql, params, many, context)
        if self.connection.in_atomic_block and not (DATA.match(text) and text in self.known_texts):
            self.known_texts.add(text)
            self._aside(self._note_locks, began)
        return result

    def _aside(self, work, argument):
        """Run a catalogue query of the recorder, and exclude its time from the migration's."""
        began = time.perf_counter()
        work(argument)
        self.own += time.perf_counter() - began

    def _note_locks(self, began):
        for oid, mode in catalogue.rows_of(self.connection.connection, LOCKS + "pg_catalog.pg_backend_pid()"):
            self.first.setdefault((oid, mode), (began, self.own))

    def _count_losses(self, sql):
        """Before a drop: count the rows, and the values that are not null."""
        column = DROP_COLUMN.match(sql)
        match = DROP_TABLE.match(sql) or column
        name = match.group(1) if match else ""
        oid = self.names.get(bare(name)) if name else None
        if oid is None:
            return
        what, key = "1", (bare(name), "")
        if column:
            what, key = column.group(2), (bare(name), bare(column.group(2)))
            if key[1] not in [found[0] for number, found in self.before.columns.items() if number[0] == oid]:
                return
        query = "SELECT count(*), count(x) FROM (SELECT %s AS x FROM %s LIMIT %d) t" % (
            what,
            name,
            MOST,
        )
        self.counted[key] = tuple(catalogue.rows_of(self.connection.connection, query)[0])

    def locks(self, ended, atomic, polled, known):
        """Locks on tables that existed before the plan, as {table, mode, seconds}. ended: when the migration
        committed.
        """
        held = {}
        if atomic:
            held = {key: ended - began - (self.own - own) for key, (began, own) in self.first.items()}
        else:
            held = {key: 0.0 for key in self.first}
            held.update(polled)
        found = [
            {"table": known[oid], "mode": mode, "seconds": round(max(seconds, 0.0), 4)}
            for (oid, mode), seconds in held.items()
            if oid in known
        ]
        return sorted(found, key=lambda lock: -lock["seconds"])
