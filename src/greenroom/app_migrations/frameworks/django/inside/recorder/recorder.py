"""Runs the pending migrations one by one like Django's executor and records the effects of each; or reverses them.

Rewrites ``FOLDER/rehearsal.json`` after each migration, so that a killed dyno leaves partial results.
"""

import json
import os
import sys
import time
import traceback

from . import catalogue
from .watch import Poller, Watch

FILE = "rehearsal.json"
LOCK_TIMEOUT = 10
LINES = 2000


class Recorder:
    """One run on one connection.

    job: {job: forward or reverse, budget: seconds, plan: names, gone and added: lines of the schema}.
    """

    def __init__(self, connection, job, probe, keep):
        self.connection, self.job, self.probe, self.keep = connection, job, probe, keep
        self.until = time.monotonic() + float(job.get("budget") or 900)
        self.done: list = []
        self.answer = dict(status="running", framework="django", detail="", migrations=self.done, reverse={})

    @property
    def raw(self):
        """The driver's connection, which bypasses Django's wrappers."""
        self.connection.ensure_connection()
        return self.connection.connection

    def limits(self):
        """Set the lock timeout to 10 s at most and the statement timeout to the rest of the budget."""
        left = max(1, int((self.until - time.monotonic()) * 1000))
        cursor = self.raw.cursor()
        cursor.execute("SET lock_timeout = '%ds'" % LOCK_TIMEOUT)
        cursor.execute("SET statement_timeout = %d" % left)
        cursor.close()

    def forward(self):
        """Run all pending migrations, up to the first failure; then the post-migrate handlers."""
        from django.db.migrations.exceptions import InconsistentMigrationHistory
        from django.db.migrations.executor import MigrationExecutor

        executor = MigrationExecutor(self.connection)
        conflicts = executor.loader.detect_conflicts()
        if conflicts:
            return self.end("failed", "migrations without a common successor: " + ", ".join(sorted(conflicts)))
        try:
            executor.loader.check_consistent_history(self.connection)
        except InconsistentMigrationHistory as trouble:
            return self.end("failed", "migrate would fail: " + self.probe.explain(trouble)[1])
        plan = [migration for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]
        self.answer["pending"] = [str(migration) for migration in plan]
        executor.recorder.ensure_schema()
        lines = catalogue.listing(self.raw)
        known = catalogue.Look(self.raw).tables()
        poller = Poller(self.connection, catalogue.rows_of(self.raw, "SELECT pg_catalog.pg_backend_pid()")[0][0])
        poller.start()
        poller.ready.wait(10)
        try:
            failed = self.all(executor, plan, known, poller)
        finally:
            poller.over.set()
            poller.join(5)
        if failed:
            return self.end("failed", failed)
        now = catalogue.listing(self.raw)
        self.answer.update(gone=sorted(lines - now)[:LINES], added=sorted(now - lines)[:LINES])
        return self.end("ok", "")

    def all(self, executor, plan, known, poller):
        """Run the migrations of the plan; returns the failure message, or an empty string."""
        state = executor._create_project_state(with_applied_migrations=True)
        for migration in plan:
            if time.monotonic() > self.until:
                return "timed out before %s" % migration
            item, state = self.one(executor, migration, state, known, poller)
            self.done.append(item)
            self.keep(self.answer)
            if item["error"]:
                return "%s: %s" % (migration, item["error"])
        return self.after(state, [(migration, False) for migration in plan])

    def one(self, executor, migration, state, known, poller):
        """Run one migration and return its effects."""
        self.limits()
        version = catalogue.rows_of(self.raw, "SELECT current_setting('server_version_num')::int")[0][0]
        before, rows = catalogue.Look(self.raw), catalogue.counters(self.raw, version)
        watch, error = Watch(self.connection, before), ("", "")
        times: dict = {}
        executor.progress_callback = lambda action, *rest: times.setdefault(action, time.perf_counter())
        poller.take()
        try:
            with self.connection.execute_wrapper(watch):
                state = executor.migrate([], plan=[(migration, False)], state=state)
        except BaseException as trouble:
            if isinstance(trouble, KeyboardInterrupt):
                raise
            error = (self.probe.explain(trouble)[1] + catalogue.broken(self.raw), traceback.format_exc()[-8000:])
            times.setdefault("apply_success", time.perf_counter())
        ended = times.get("apply_success", time.perf_counter())
        seconds = max(0.0, ended - times.get("apply_start", ended) - watch.own)
        item = self.facts(migration, watch, seconds, error)
        item["locks"] = watch.locks(ended, migration.atomic, poller.take(), known)
        after = catalogue.Look(self.raw)
        item["rewrites"] = catalogue.rewritten(self.raw, before, after)
        item["columns"] = catalogue.column_changes(before, after, known, watch.counted)
        item["tables"] = catalogue.table_changes(before, after, watch.counted)
        item["rows"] = catalogue.written(rows, catalogue.counters(self.raw, version))
        return item, state

    def facts(self, migration, watch, seconds, error):
        """The facts about a migration besides the catalogue."""
        safe = getattr(migration, "safe", None)
        return dict(
            self.probe.describe(migration),
            seconds=round(seconds, 4),
            safe=str(getattr(safe, "when", safe) or "")[:60],
            statements=watch.statements,
            count=watch.count,
            error=error[0],
            traceback=error[1],
        )

    def after(self, state, plan):
        """Run the post-migrate handlers of the apps (content types, permissions); returns the failure message."""
        from django.core.management.sql import emit_post_migrate_signal

        began = time.perf_counter()
        try:
            state.clear_delayed_apps_cache()
            emit_post_migrate_signal(0, False, self.connection.alias, apps=state.apps, plan=plan)
        except Exception as error:
            self.answer["post_migrate"] = {
                "seconds": round(time.perf_counter() - began, 4),
                "error": self.probe.explain(error)[1],
            }
            return "after the migrations: " + self.probe.explain(error)[1]
        self.answer["post_migrate"] = {"seconds": round(time.perf_counter() - began, 4), "error": ""}
        return ""

    def reverse(self):
        """Reverse the migrations of the job's plan and compare the schema with the one before."""
        from django.db.migrations.executor import MigrationExecutor

        executor = MigrationExecutor(self.connection)
        wanted = {tuple(name.split(".", 1)) for name in self.job.get("plan") or ()}
        loader = executor.loader
        keys = [key for key in loader.applied_migrations if key in wanted and key in loader.graph.nodes]
        plan = executor.migration_plan(loader.graph.leaf_nodes(), clean_start=True)
        order = [(one.app_label, one.name) for one, _ in plan]
        back = [(loader.graph.nodes[key], True) for key in reversed(order) if key in keys]
        obstacle = self.obstacle(loader, back, wanted - set(keys))
        if obstacle:
            self.answer["reverse"] = {"done": False, "detail": obstacle}
            return self.end("ok", "")
        self.limits()
        began = time.perf_counter()
        try:
            executor.migrate([], plan=back)
        except Exception as error:
            traceback.print_exc()
            self.answer["reverse"] = {"done": False, "detail": self.probe.explain(error)[1]}
            return self.end("ok", "")
        differences = self.differences()
        seconds = round(time.perf_counter() - began, 4)
        self.answer["reverse"] = {"done": True, "detail": "", "seconds": seconds, "differences": differences}
        return self.end("ok", "")

    def obstacle(self, loader, back, missing):
        """The reason why the plan ``back`` cannot run; empty if it can. missing: migrations of the job that it
        lacks.
        """
        stuck = [str(one) for one, _ in back if not all(self.probe.reversible(step) for step in one.operations)]
        if stuck:
            return ", ".join(reversed(stuck)) + " cannot be undone"
        squashed = [
            ".".join(key) for key in sorted(missing) if key in loader.replacements or key in loader.applied_migrations
        ]
        if squashed:
            return ", ".join(squashed) + ": squashed, and can only be reversed as a whole"
        return "not all are applied" if missing else ""

    def differences(self):
        """At most 50 lines of difference from the schema before the job's migrations."""
        now = catalogue.listing(self.raw)
        lines = ["missing: " + line for line in self.job.get("gone") or () if line not in now]
        lines += ["left over: " + line for line in self.job.get("added") or () if line in now]
        return [line[:300] for line in lines[:50]]

    def end(self, status, detail):
        """The whole answer."""
        self.answer.update(status=status, detail=detail[:4000])
        return self.answer


def work(root, job, probe, keep):
    """The whole answer; never raises."""
    answer = {"framework": "django", "migrations": [], "reverse": {}}
    try:
        early = probe.prepare(root)
        if early:
            return dict(answer, status="error", detail=early[1])
        import django
        from django.conf import settings
        from django.db import DEFAULT_DB_ALIAS, connections

        django.setup()
        settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
        connection = connections[DEFAULT_DB_ALIAS]
        if connection.vendor != "postgresql":
            return dict(
                answer, status="error", detail="only PostgreSQL databases are rehearsed, this is " + connection.vendor
            )
        connection.ensure_connection()
        recorder = Recorder(connection, job, probe, keep)
        recorder.answer["version"] = django.get_version()
        return recorder.reverse() if job.get("job") == "reverse" else recorder.forward()
    except SystemExit as error:
        return dict(answer, status="error", detail="the app exited: " + str(error.code))
    except BaseException as error:
        traceback.print_exc()
        return dict(answer, status="error", detail=probe.explain(error)[1])


def main(argv, job, probe):
    """Write the answer to the folder and exit at once, even if the app has started threads."""
    target = os.path.join(argv[1], FILE)

    def keep(answer):
        with open(target + ".new", "w", encoding="utf-8") as file:
            file.write(json.dumps(answer))
        os.chmod(target + ".new", 0o644)
        os.rename(target + ".new", target)

    keep(work(os.getcwd(), job, probe, keep))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
