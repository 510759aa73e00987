"""Selects the tests that need real neighbours: an engine's dynos, git servers, Caddy, package installations, dumps.

``make test-fast`` excludes them and the tests marked ``thorough``. A test is marked because of its fixtures, or with
``pytest.mark.neighbours``. A run without them ends with the tests that lack a mark.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parent
FIXTURES = {
    "addons": {"database", "databases", "squatter", "store"},
    "api": {"store", "market"},
    "app_migrations": {"app", "app_state", "database", "kind", "url"},
    "builds": {"machine", "mirror", "ordinary_machine", "started", "workshop"},
    "checks": {"engine", "jobs", "look", "scan", "scanned", "tested"},
    "cli": {"program"},
    "contracts/addons": {"addon", "fresh"},
    "contracts/engine": {"rig"},
    "contracts/kinds": {"run"},
    "engine": {"controlled", "machine", "neighbour", "own_machine", "root_machine"},
    "git": {"server", "web"},
    "host": {"cluster", "foreign", "host_server", "site", "sleeper", "small_disk"},
    "logs": {"router"},
    "router": {"router"},
    "sources": {"forge", "sshd"},
    "stories": {"installation"},
    "streams": {"hall", "server"},
}
"""Folder -> fixtures that start a real neighbour, or take as long to set up."""
FILES = {
    "addons/test_postgres.py",
    "api/test_attached_config.py",
    "api/test_full_disk.py",
    "api/test_github.py",
    "api/test_http_rules.py",
    "api/test_keys.py",
    "api/test_pipelines.py",
    "api/test_with_everything.py",
    "app_migrations/test_clash.py",
    "app_migrations/test_watching.py",
    "apps/test_destroy.py",
    "apps/test_meeting.py",
    "builds/test_output.py",
    "checks/test_drive.py",
    "checks/test_uploads.py",
    "cli/test_git.py",
    "cli/test_run.py",
    "cli/test_target.py",
    "deliveries/test_again.py",
    "deliveries/test_alone.py",
    "deliveries/test_asked_for.py",
    "deliveries/test_gate_machine.py",
    "deliveries/test_held_or_failed.py",
    "deliveries/test_hints.py",
    "deliveries/test_killed.py",
    "deliveries/test_migrated.py",
    "deliveries/test_newest_code.py",
    "deliveries/test_retention.py",
    "deliveries/test_retry.py",
    "deliveries/test_trial.py",
    "deliveries/test_uncertain.py",
    "engine/test_disk.py",
    "engine/test_logfile.py",
    "engine/test_processes.py",
    "engine/test_survival.py",
    "git/test_fetching.py",
    "git/test_queries.py",
    "host/test_pool.py",
    "logs/test_drains.py",
    "pipelines/test_meeting.py",
    "pipelines/test_reviews.py",
    "pipelines/test_testing.py",
    "router/test_meeting.py",
    "router/test_routes.py",
    "slugs/test_sbom.py",
    "sources/test_hooks.py",
    "sources/test_sources.py",
    "streams/test_app.py",
    "webhooks/test_webhooks.py",
}
"""Files that take more than about 1.5 seconds. They are thorough as a whole."""
DOUBLES = {"memory"}
"""Parameters of these fixtures that select a double in memory."""
QUICK_PROGRAMS = {"apt-get", "bash", "git", "grep", "lint-imports", "sh"}
SLOW = 2.0
"""Seconds of CPU time. Slower tests are listed at the end of a run without neighbours."""


def needs_neighbours(item: pytest.Item) -> bool:
    """Whether a fixture needs them and the test does not get a double for it."""
    folder = item.path.parent.relative_to(TESTS).as_posix()
    used = FIXTURES.get(folder, set()) & set(getattr(item, "fixturenames", ()))
    given = item.callspec.params if hasattr(item, "callspec") else {}
    return any(given.get(name) not in DOUBLES for name in used)


def mark(items: list[pytest.Item]) -> None:
    """Mark tests because of their fixtures or files. Stories need all neighbours."""
    for item in items:
        if item.get_closest_marker("story") or needs_neighbours(item):
            item.add_marker("neighbours")
        if item.path.relative_to(TESTS).as_posix() in FILES:
            item.add_marker("thorough")


def watch(config: pytest.Config) -> None:
    """Watch the tests in a run without neighbours."""
    if "neighbours" in config.getoption("markexpr"):
        config.pluginmanager.register(Watch(config))


class Watch:
    """Records the programs that tests start and the time that tests take."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.started: list[str] | None = None
        self.began = 0.0
        self.lacking: list[str] = []
        self.left_out = 0
        self.popen = subprocess.Popen.__init__
        subprocess.Popen.__init__ = self.hear(self.popen)  # type: ignore[method-assign]

    def hear(self, popen: Callable[..., None]) -> Callable[..., None]:
        def init(process: subprocess.Popen, args: Any, *more: Any, **given: Any) -> None:
            program = Path(os.fsdecode(args if isinstance(args, str | bytes | os.PathLike) else args[0])).name
            if program not in QUICK_PROGRAMS and self.started is not None:
                self.started.append(program)
            popen(process, args, *more, **given)

        return init

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Iterator[None]:
        self.started, self.began = [], time.process_time()
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        result = yield
        seconds, started, self.started = time.process_time() - self.began, self.started, None
        if started:
            self.lacking.append(f"{item.nodeid} starts {', '.join(sorted(set(started)))}: mark it neighbours")
        elif seconds > SLOW:
            self.lacking.append(f"{item.nodeid} takes {seconds:.1f} s of CPU time: mark it thorough")
        return result

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        self.left_out += len(items)

    def pytest_sessionfinish(self) -> None:
        subprocess.Popen.__init__ = self.popen  # type: ignore[method-assign]
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput["neighbours"] = (self.left_out, self.lacking)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        left_out, lacking = getattr(node, "workeroutput", {}).get("neighbours", (0, []))
        self.left_out = max(self.left_out, left_out)
        self.lacking += lacking

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in sorted(self.lacking):
            terminalreporter.write_line(line)
        text = f"{self.left_out} tests with real neighbours or a thorough walk are left out: make test"
        terminalreporter.write_line(text)
