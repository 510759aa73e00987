"""kill -9 of a component or of the client at a named point of a rehearsal or of a user's migrate, and the checks
afterwards.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import psycopg

TARGETS = ("worker", "supervisor", "postgres", "client")
PHASES = ("rehearsal", "migrate")
NAME = "payroll.0004_lines_by_component"
POINTS = {"rehearsal": ("asked for", "copied", "migrating"), "migrate": ("asked for", "snapshot", "migrating")}
"""The points of a kill: the row of the rehearsal or run exists, the copy or the snapshot exists, the migration has the
lock that it keeps for two seconds.
"""
LOCKED = (
    "SELECT coalesce(array_agg(relation::bigint), '{}') FROM pg_locks JOIN pg_database ON pg_database.oid = database"
    " WHERE mode = 'ShareLock' AND locktype = 'relation' AND "
)
LASTING = 0.3
"""After this many seconds a lock belongs to the migration; locks of a restore's indexes are shorter."""
COPY = "datname LIKE '%\\_rehearsal\\_%'"
PATIENCE = 400.0
"""Longer than any operation takes on a busy machine: only a state that is never reached is an error."""


class Trial:
    """One app with a pending migration that takes two seconds; ``once`` kills and checks, repeatedly."""

    def __init__(self, team: Any) -> None:
        self.team, self.outcomes = team, Counter()
        self.url = team.read("config")["DATABASE_URL"]
        team.greenroom("config:set", "SLOW_INDEX_SECONDS=2")
        team.apply("slow-index")
        team.push()
        self.settle(lambda: self.state()["rehearsal"]["state"] == "done")
        self.before = self.indexes()

    def once(self, phase: str, target: str, point: str = "") -> str:
        """The outcome; AssertionError if something is recorded by half, left over or wrong. ``point``: one of POINTS,
        else any of them.
        """
        point = point or random.choice(POINTS[phase])
        assert self.state()["pending"] == [NAME]
        number, known = self.state()["rehearsal"]["number"], {run["id"] for run in self.state()["runs"]}
        taken = {row["name"] for row in self.snapshots()}
        reached = {
            ("rehearsal", "asked for"): lambda: self.state()["rehearsal"]["number"] > number,
            ("rehearsal", "copied"): lambda: self.ask(f"SELECT count(*) FROM pg_database WHERE {COPY}"),
            ("rehearsal", "migrating"): self.lasting_lock(COPY),
            ("migrate", "asked for"): lambda: any(run["id"] not in known for run in self.state()["runs"]),
            ("migrate", "snapshot"): lambda: {row["name"] for row in self.snapshots()} - taken,
            ("migrate", "migrating"): self.lasting_lock("datname = current_database()"),
        }[phase, point]
        word = "migrations:rehearse" if phase == "rehearsal" else "migrations:run"
        argv = [str(self.team.place.greenroom), word, "-a", self.team.name]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        client = subprocess.Popen(argv, cwd=self.team.work, env=self.team.place.env, **quiet)
        self.reach(reached, client)
        os.kill(client.pid if target == "client" else self.team.place.pids()[target], signal.SIGKILL)
        try:
            client.wait(PATIENCE)
        finally:
            client.kill()
        self.team.place.wait_until_up()
        said = self._after_rehearsal(number) if phase == "rehearsal" else self._after_migrate(known)
        self._nothing_left()
        self.outcomes[f"{phase}, {point}, {target} killed: {said}"] += 1
        return said

    def _after_rehearsal(self, number: int) -> str:
        """The rehearsal was run anyway, on a copy that is gone, or it was never requested."""
        self.settle(lambda: self.state()["rehearsal"]["state"] in ("done", "failed"))
        row = self.state()["rehearsal"]
        if row["number"] == number:
            return "not begun"
        assert (row["state"], row["colour"], row["failure"]) == ("done", "amber", ""), row
        assert self.state()["pending"] == [NAME]
        assert not self.applied()
        return "done"

    def _after_migrate(self, known: set[str]) -> str:
        """known: the earlier runs. The record matches the database: applied or not, index or none; and the next user
        can migrate.
        """
        self.settle(lambda: self.quiet())
        found = self.state()
        applied = self.applied()
        assert found["pending"] == ([] if applied else [NAME]), found["pending"]
        assert self.indexes() == self.before + applied, "half a migration"
        fresh = [run for run in found["runs"] if run["id"] not in known]
        assert fresh or not applied, "applied, and no record of who did it"
        for run in fresh:
            assert run["finished_at"], run
            assert applied or run["exit_code"] != 0, run
        assert [row for row in self.snapshots() if row["state"] in ("running", "wanted")] == []
        if not applied:
            return "not begun" if not fresh else "not applied"
        self.team.greenroom("run", "--no-snapshot", "python", "manage.py", "migrate", "payroll", "0003")
        self.settle(lambda: self.quiet() and self.state()["pending"] == [NAME])
        code = fresh[0]["exit_code"]
        return "applied" if code == 0 else f"applied, exit code {code}"

    def reach(self, reached: Callable[[], object], client: subprocess.Popen) -> None:
        """Wait for the point of the kill."""
        while not reached():
            assert client.poll() is None, "the client ended before the point of the kill"
            time.sleep(0.02)

    def lasting_lock(self, where: str) -> Callable[[], bool]:
        """Returns a function: whether such a database has had the same lock for a while."""
        since: dict[int, float] = {}

        def lasting() -> bool:
            now, found = time.monotonic(), set(self.ask(LOCKED + where))
            for relation in since.keys() - found:
                del since[relation]
            return any(now - since.setdefault(relation, now) > LASTING for relation in found)

        return lasting

    def snapshots(self) -> list[dict[str, Any]]:
        status, found = self.team.place.api("GET", f"/apps/{self.team.name}/pg/snapshots")
        assert status == 200, found
        return found

    def quiet(self) -> bool:
        """No run is open, and the radar has responded since."""
        found = self.state()
        return found["status"] == "ok" and all(run["finished_at"] for run in found["runs"])

    def state(self) -> dict[str, Any]:
        status, found = self.team.place.api("GET", f"/apps/{self.team.name}/migrations")
        assert status == 200, found
        return found

    def applied(self) -> bool:
        return self.ask("SELECT count(*) FROM django_migrations WHERE app = 'payroll' AND name LIKE '0004%'") == 1

    def indexes(self) -> int:
        return self.ask("SELECT count(*) FROM pg_indexes WHERE tablename = 'payroll_payslipline'")

    def ask(self, query: str) -> Any:
        with psycopg.connect(self.url, autocommit=True, connect_timeout=10) as connection:
            return connection.execute(query).fetchone()[0]

    def _nothing_left(self) -> None:
        """No copy, role of a copy or guest session is left; guests themselves are removed when they expire."""
        left = (
            "SELECT count(*) FROM (SELECT datname FROM pg_database UNION ALL SELECT rolname FROM pg_roles) x (n) WHERE"
            " n LIKE '%\\_rehearsal\\_%'"
        )
        self.settle(lambda: self.ask(left) == 0)
        home = self.team.place.home
        assert not list((home / "run" / "rehearsals").glob("*.dump*"))
        assert not list((home / "snapshots").glob("*/*.part"))

    def settle(self, holds: Callable[[], bool]) -> None:
        """Wait until the condition is true; while components restart, requests may fail."""
        until, last = time.monotonic() + PATIENCE, None
        while time.monotonic() < until:
            try:
                if holds():
                    return
            except (AssertionError, OSError, psycopg.Error, TypeError) as error:
                last = error
            time.sleep(0.2)
        raise AssertionError(f"it did not settle: {last}; {self.state()}\n{self.team.place.trouble()}")
