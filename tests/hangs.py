"""Reports a test that takes half of its time limit: the stacks of all threads, and what the sessions of the suite's
PostgreSQL wait for. The report is shown with the test if that fails. A test that does not end even after its time limit
(the limit raises an exception in it, and its clean-up then waits for the same thing) ends its process with the report
on standard error: a run must end.
"""

from __future__ import annotations

import faulthandler
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

LOOK = 5.0
LONGEST = 40_000
CLEAN_UP = 60.0
"""Seconds for the clean-up of a test whose time limit is over."""
EXIT_CODE = 70
SESSIONS = """
    SELECT pid, datname, backend_type, state, wait_event_type, wait_event, now() - xact_start, now() - query_start,
        pg_blocking_pids(pid), left(query, 200)
    FROM pg_stat_activity WHERE pid <> pg_backend_pid()
"""
LOCKS = "SELECT pid, locktype, relation, mode, granted, virtualxid, transactionid FROM pg_locks WHERE NOT granted"
ASK = """
    SELECT pid, pg_log_backend_memory_contexts(pid) FROM pg_stat_activity
    WHERE state = 'active' AND pid <> pg_backend_pid()
"""
"""Each active session answers in the server's log, if it still handles interrupts."""


class Hangs:
    """Watches the running test from a thread of its own. limit: seconds after which a test is reported."""

    def __init__(self, *, look: float = LOOK, clean_up: float = CLEAN_UP) -> None:
        self.look, self.clean_up = look, clean_up
        self.test, self.began, self.limit = "", 0.0, 0.0
        self.reports: dict[str, str] = {}
        self.stderr = os.dup(2)  # pytest has not captured it yet
        threading.Thread(target=self._watch, name="hangs", daemon=True).start()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        marker = item.get_closest_marker("timeout")
        seconds = float(marker.args[0] if marker and marker.args else item.config.getini("timeout") or 0)
        self.began, self.limit, self.test = time.monotonic(), seconds / 2, item.nodeid
        if seconds:  # a thread of C, for a test during which no Python runs
            faulthandler.dump_traceback_later(seconds + 2 * self.clean_up, exit=True, file=self.stderr)
        try:
            return (yield)
        finally:
            self.test = ""
            faulthandler.cancel_dump_traceback_later()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[None]:
        report: Any = yield
        if report.failed and item.nodeid in self.reports:
            report.sections.append(("What it was waiting for", self.reports[item.nodeid]))
        return report

    def _watch(self) -> None:
        while True:
            time.sleep(self.look)
            test, taken = self.test, time.monotonic() - self.began
            if not test or not self.limit:
                continue
            if test not in self.reports and taken > self.limit:
                self.reports[test] = report()
            if taken > 2 * self.limit + self.clean_up:
                self._end(test)

    def _end(self, test: str) -> None:
        """End this process, which pytest-xdist reports as a failure of the running test."""
        text = f"\n{test} does not end. At half of its time:\n{self.reports[test]}\nNow:\n{report()}\n"
        with open(self.stderr, "w") as stderr:
            stderr.write(text)
        os._exit(EXIT_CODE)


def report() -> str:
    """The stacks of this process and the state of the suite's PostgreSQL, at most LONGEST characters."""
    return f"{stacks()}\n{sessions()}\n{processes()}"[-LONGEST:]


def stacks() -> str:
    """The stacks of all threads of this process."""
    with tempfile.TemporaryFile("w+") as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        return file.read()


def sessions() -> str:
    """The sessions of the suite's PostgreSQL and the locks that they wait for."""
    from django.conf import settings

    it = settings.DATABASES["default"]
    address = f"host={it['HOST']} port={it['PORT']} dbname=postgres user=postgres password=greenroom"
    try:
        with psycopg.connect(address, autocommit=True, connect_timeout=10) as connection:
            rows = [row for query in (SESSIONS, LOCKS, ASK) for row in connection.execute(query).fetchall()]
    except psycopg.Error as error:  # another server, or one that does not answer
        return f"PostgreSQL: {error}"
    return "\n".join(map(str, rows))


def processes() -> str:
    """State, kernel function and system call of each process of PostgreSQL."""
    lines = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "cmdline").read_text().replace("\0", " ").strip()
            if name.startswith("postgres"):
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                where = [(folder / file).read_text().strip() for file in ("wchan", "syscall")]
                lines.append(f"{folder.name} {state} {' '.join(where)} {name[:120]}")
        except OSError:
            continue
    return "\n".join(lines)
