"""Which commands are a human's migrate."""

from __future__ import annotations

import pytest

from greenroom.app_migrations.rules import is_migrate


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
