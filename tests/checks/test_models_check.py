"""How the scan judges ``makemigrations --check``."""

from __future__ import annotations

import os
import sys

import pytest

from greenroom.checks.inside import run_models

OLD = """Traceback (most recent call last):
  File "django/core/management/commands/makemigrations.py", line 101, in handle
    loader.check_consistent_history(connection)
  File "django/db/backends/base/base.py", line 195, in connect
psycopg2.OperationalError: could not connect to server: Connection refused
\tIs the server running on host "127.0.0.1" and accepting
\tTCP/IP connections on port 1?

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "django/db/migrations/loader.py", line 288, in check_consistent_history
    recorder = MigrationRecorder(connection)
django.db.utils.OperationalError: could not connect to server: Connection refused
\tIs the server running on host "127.0.0.1" and accepting
\tTCP/IP connections on port 1?
"""


@pytest.mark.parametrize(
    ("code", "text", "outcome"),
    [
        (0, "No changes detected", "success"),
        (1, "Migrations for 'shop':\n  shop/migrations/0002_x.py\n", "failure"),
        (1, "CommandError: Conflicting migrations detected; multiple leaf nodes", "failure"),
        (1, "ImproperlyConfigured: The SECRET_KEY setting must not be empty.", "failure"),
        (3, "", "failure"),
        (1, OLD, "success"),
        (1, OLD.replace("check_consistent_history", "ready"), "error"),
        (137, "", "error"),
    ],
)
def test_a_verdict_is_a_fact_about_the_models_or_none(code, text, outcome):
    assert run_models.judge(code, text)[0] == outcome


def test_only_an_old_django_without_a_database_is_excused():
    assert run_models.needs_database(OLD)
    assert not run_models.needs_database(OLD + "Traceback (most recent call last):\nValueError: x\n")
    assert not run_models.needs_database("OperationalError: could not connect")


def test_an_app_that_queries_the_database_as_it_loads_gets_the_remedy():
    outcome, detail = run_models.judge(1, OLD.replace("check_consistent_history", "ready"))
    assert (outcome, detail) == ("error", run_models.ASKS_DATABASE)
    assert not run_models.lacks_database(OLD)
    assert not run_models.lacks_database("Traceback (most recent call last):\nOperationalError: no such table: shop")


@pytest.mark.parametrize(("needs", "outcome"), [("checks", "success"), ("loading", "error"), ("nothing", "success")])
def test_a_system_check_that_needs_the_database_is_left_out(tmp_path, monkeypatch, needs, outcome):
    """Django's check of the user model creates an instance; a default of a field may be a query."""
    failure = OLD.replace("check_consistent_history", "check_user_model")
    (tmp_path / "manage.py").write_text(
        f"import sys\nprint(*sys.argv[1:])\n"
        f"if {needs!r} == 'loading' or {needs!r} == 'checks' and '--skip-checks' not in sys.argv:\n"
        f"    sys.exit({failure!r})\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}")
    step, text = run_models._compare("manage.py", "shop")
    assert run_models.judge(step.code, text)[0] == outcome
    assert ("--skip-checks" in text) == (needs != "nothing")
