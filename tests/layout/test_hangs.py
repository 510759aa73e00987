"""The report of a test that hangs shows where it waits, and for what."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from django.db import connection, connections

from tests import hangs

ROOT = Path(__file__).resolve().parents[2]


def test_the_stack_of_each_thread_is_shown():
    assert "test_the_stack_of_each_thread_is_shown" in hangs.stacks()


@pytest.mark.django_db
def test_a_session_is_shown_with_what_it_waits_for():
    def sleep() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(1)")
        connections.close_all()

    thread = threading.Thread(target=sleep)
    thread.start()
    end = time.monotonic() + 10
    while "PgSleep" not in (said := hangs.sessions()) and time.monotonic() < end:
        time.sleep(0.05)
    thread.join()
    assert "PgSleep" in said
    assert "postgres: " in hangs.processes()


WAITS_AGAIN = """
import threading

def test_that_never_ends():
    try:
        threading.Event().wait()
    finally:
        threading.Event().wait()
"""
HOLDS_THE_INTERPRETER = """
import ctypes

def test_that_never_ends():
    mutex = ctypes.create_string_buffer(64)
    for _ in range(2):
        ctypes.PyDLL(None).pthread_mutex_lock(mutex)
"""
WATCHED = """
from tests import hangs

def pytest_configure(config):
    config.pluginmanager.register(hangs.Hangs(look=0.1, clean_up=1.0))
"""


@pytest.mark.parametrize(
    ("test", "code"), [(WAITS_AGAIN, hangs.EXIT_CODE), (HOLDS_THE_INTERPRETER, 1)], ids=["waits", "holds"]
)
def test_a_test_that_does_not_end_after_its_limit_ends_its_process_with_a_report(
    tmp_path: Path, test: str, code: int
) -> None:
    (tmp_path / "test_it.py").write_text(test)
    (tmp_path / "conftest.py").write_text(WATCHED)
    (tmp_path / "pytest.ini").write_text("[pytest]\ntimeout = 1\n")
    argv = [sys.executable, "-m", "pytest", "-p", "no:django", "-p", "no:cacheprovider", str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    assert "in test_that_never_ends" in done.stderr  # the stack
    assert (code == 1) or "test_it.py::test_that_never_ends does not end" in done.stderr
