"""How the scan judges ``makemigrations --check``."""

from __future__ import annotations

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
