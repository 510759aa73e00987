"""Which commands are a human's migrate."""

from __future__ import annotations

import pytest

from greenroom.app_migrations.rules import guards, is_about_migrations, is_migrate


@pytest.mark.parametrize(
    "command",
    [
        "python manage.py migrate",
        "./manage.py migrate payroll 0002",
        "python3 src/manage.py migrate --noinput",
        "django-admin migrate",
    ],
)
def test_migrate_is_recognised(command):
    assert is_migrate(command)


@pytest.mark.parametrize(
    "command",
    [
        "python manage.py showmigrations",
        "python manage.py migrate --plan",
        "python manage.py migrate --check",
        "echo migrate",
        "python manage.py shell -c 'migrate'",
        "python manage.py migrate && rm -rf x",
        "python manage.py 'migrate",
        "",
    ],
)
def test_other_commands_are_not(command):
    assert not is_migrate(command)


def test_commands_about_migrations_are_run_where_the_migrations_are():
    for command in ("python manage.py migrate", "manage.py showmigrations", "python manage.py sqlmigrate a 1", "python manage.py migrate --plan"):
        assert is_about_migrations(command)
    for command in ("python manage.py shell", "bash", "python manage.py migrate; bash", "python manage.py"):
        assert not is_about_migrations(command)


def test_a_migrate_does_not_wait_for_locks_for_ever_unless_the_app_says_how_long():
    assert guards("python manage.py migrate", []) == {"PGOPTIONS": "-c lock_timeout=5s -c statement_timeout=15min"}
    assert guards("python manage.py migrate", ["PGOPTIONS"]) == {}
    assert guards("python manage.py shell", []) == {}
