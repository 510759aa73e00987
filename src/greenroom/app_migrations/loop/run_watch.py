"""Watches a user's migrate command during its run: the end of each migration, and the session's locks with durations.

Finds the session by its name (``rules.session_name``). A session with the app's role samples it a few dozen times a
second and neither changes nor blocks anything. Unobserved facts (worker down, session renamed by the app) are omitted.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import defaultdict
from typing import Any

import psycopg
from django.db import connections

from greenroom.addons import queries as addons
from greenroom.addons.models import Addon
from greenroom.app_migrations import actions, frameworks, queries, rules
from greenroom.app_migrations.models import MigrationRun

log = logging.getLogger(__name__)
LOOK = 0.02
ASK = 0.5
"""Seconds between two reads of the run's row."""
LONGEST = 24 * 3600.0
SESSIONS = (
    "SELECT pid, extract(epoch FROM coalesce(xact_start, backend_start))::float8 FROM pg_catalog.pg_stat_activity"
    " WHERE datname = pg_catalog.current_database() AND application_name = %s"
)
LOCKS = (
    "SELECT CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || c.relname, l.mode FROM"
    " pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation JOIN pg_catalog.pg_namespace n ON n.oid ="
    " c.relnamespace WHERE l.pid = ANY(%s) AND l.granted AND l.locktype = 'relation' AND c.relkind IN ('r', 'p') AND"
    " n.nspname !~ '^pg_' AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname ="
    " pg_catalog.current_database())"
)
LEDGERS = frozenset(framework.ledger for framework in frameworks.every())


class Ledger:
    """The observations, by migration. Pure; times in seconds since 1970."""

    def __init__(self, began: float, known: list[dict[str, Any]]) -> None:
        self.last, self.found = began, list(known)
        self.held: dict[tuple[str, str], float] = defaultdict(float)

    def saw(self, locks: set[tuple[str, str]], seconds: float) -> None:
        """Add the locks held for ``seconds``."""
        for key in locks:
            if key[0] not in LEDGERS:
                self.held[key] += seconds

    def applied(self, names: list[tuple[str, float]]) -> None:
        """Close the migrations applied since the last sample. Their locks are assigned to the longest of them."""
        fresh: list[dict[str, Any]] = []
        for name, ended in names:
            fresh.append({"name": name, "seconds": round(max(ended - self.last, 0.0), 3), "locks": []})
            self.last = max(self.last, ended)
        if fresh:
            longest = max(fresh, key=lambda one: one["seconds"])
            locks: list[dict[str, Any]] = [
                {"table": table, "mode": mode, "seconds": round(seconds, 3)}
                for (table, mode), seconds in self.held.items()
            ]
            longest["locks"] = sorted(locks, key=lambda lock: -lock["seconds"])[:50]
            self.held.clear()
        self.found += fresh


class Watcher(threading.Thread):
    """Watches until the end of the run."""

    def __init__(self, run: MigrationRun) -> None:
        super().__init__(name=f"watch {run.pk}", daemon=True)
        self.run_id, self.session = run.pk, rules.session_name(run.app.id.hex)
        self.framework = frameworks.find(queries.framework(run.release))
        known = list((run.actual or {}).get("migrations") or ())
        self.app, self.began, self.names = run.app, run.created_at.timestamp(), {one["name"] for one in known}
        self.ledger = Ledger(self.began, known)

    def run(self) -> None:
        try:
            addon = addons.database_of(self.app)
            if addon is not None:
                self._watch(addon)
        except Exception as error:  # errors here must not affect the run
            log.info("the migrate of %s is not watched: %s", self.app.name, error)
        finally:
            connections.close_all()

    def _watch(self, addon: Addon) -> None:
        with addons.schema_of(addon).look_in(addon, seconds=LONGEST) as connection:
            if connection is None:
                return
            connection.execute("SET lock_timeout = '200ms'; SET statement_timeout = '2s'")
            before = {
                name
                for _, name, ended in self._rows(connection)
                if ended < self.began or not self.framework.keeps_dates
            }
            self._look_on(connection, before - self.names)

    def _look_on(self, connection: psycopg.Connection, before: set[str]) -> None:
        last, asked, started = time.monotonic(), time.monotonic(), False
        while True:
            found = connection.execute(SESSIONS, [self.session]).fetchall()
            now = time.monotonic()
            if found:
                if not started:
                    started, self.ledger.last = True, max(self.ledger.last, min(since for _, since in found))
                self.ledger.saw(set(connection.execute(LOCKS, [[pid for pid, _ in found]]).fetchall()), now - last)
            last = now
            if started or now - asked > ASK:
                self._note(
                    [
                        (name, ended)
                        for _, name, ended in self._rows(connection)
                        if name not in before and name not in self.names
                    ]
                )
            if now - asked > ASK:
                asked = now
                if not MigrationRun.objects.filter(pk=self.run_id, exit_code=None).exists():
                    return
            time.sleep(LOOK)

    def _note(self, fresh: list[tuple[str, float]]) -> None:
        if fresh:
            self.names |= {name for name, _ in fresh}
            self.ledger.applied(fresh)
            actions.note_actual(run=self.run_id, migrations=self.ledger.found)

    def _rows(self, connection: psycopg.Connection) -> list[Any]:
        """The applied migrations, oldest first; empty if the table does not exist yet or is locked."""
        try:
            return connection.execute(self.framework.applied).fetchall()
        except psycopg.Error:
            return []


class Watchers:
    """One watcher for each run in progress."""

    def __init__(self) -> None:
        self.threads: dict[uuid.UUID, Watcher] = {}

    def see(self, runs: list[MigrationRun]) -> None:
        """Start watchers for unwatched runs; a watcher ends with its run."""
        for run in runs:
            if run.exit_code is None and run.pk not in self.threads:
                self.threads[run.pk] = Watcher(run)
                self.threads[run.pk].start()
        self.threads = {
            key: thread for key, thread in self.threads.items() if thread.is_alive() or key in {run.pk for run in runs}
        }
