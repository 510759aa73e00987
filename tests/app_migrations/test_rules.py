"""Which commands count as a user's migrate."""

from __future__ import annotations

import pytest

from greenroom.app_migrations.rules import (
    Astray,
    framework_of,
    guards,
    is_about_migrations,
    is_migrate,
    may_change,
    reminder,
    undo,
    without_net,
)


@pytest.mark.parametrize(
    "command",
    [
        "python manage.py migrate",
        "./manage.py migrate payroll 0002",
        "python3 src/manage.py migrate --noinput",
        "django-admin migrate",
        "python -m django migrate --settings=conf.settings",
        "uv run manage.py migrate",
        "alembic upgrade head",
        "alembic -c db/alembic.ini -x tenant=a downgrade -1",
        "/app/.heroku/python/bin/alembic --raiseerr upgrade +1",
        "python -m alembic upgrade head",
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
        "alembic upgrade head --sql",
        "alembic current",
        "alembic upgrade head && rm x",
        "echo alembic upgrade head",
        "python -m alembics upgrade head",
        "python -m django showmigrations",
        "-m django migrate",
        "",
    ],
)
def test_other_commands_are_not(command):
    assert not is_migrate(command)


def test_commands_about_migrations_are_run_where_the_migrations_are():
    for command in (
        "python manage.py migrate",
        "manage.py showmigrations",
        "python manage.py sqlmigrate a 1",
        "python manage.py migrate --plan",
        "alembic history",
    ):
        assert is_about_migrations(command)
    for command in ("python manage.py shell", "bash", "python manage.py migrate; bash", "python manage.py"):
        assert not is_about_migrations(command)


def test_a_migrate_does_not_wait_for_locks_for_ever_unless_the_app_says_how_long():
    assert guards("python manage.py migrate", []) == {"PGOPTIONS": "-c lock_timeout=5s -c statement_timeout=15min"}
    assert guards("python manage.py migrate", ["PGOPTIONS"]) == {}
    assert guards("python manage.py shell", []) == {}


def test_a_migrate_that_can_change_nothing_needs_no_snapshot():
    assert may_change("python manage.py migrate", ["a.0002"])
    assert may_change("python manage.py migrate", None)
    assert may_change("python manage.py migrate payroll zero", [])
    assert not may_change("python manage.py migrate --noinput", [])
    assert not may_change("python manage.py shell", ["a.0002"])
    assert may_change("alembic upgrade head", ["a1"])
    assert may_change("alembic downgrade -1", [])
    assert not may_change("alembic upgrade head", [])


def test_who_looks_at_the_dynos_is_reminded():
    assert reminder([], held=False) == ""
    assert reminder(["a.0002"], held=False) == "1 migration is pending."
    assert reminder(["a.0002", "b.0001"], held=True) == "2 migrations are pending; the newest release is held for them."
    assert (
        reminder([], held=False, astray=Astray(["a.0009"], {"shop": ["0002_a", "0002_b"]}, ["x"]))
        == "1 applied in the database is not in this code; migrations conflict (shop: 0002_a and 0002_b); the models"
        " have changes without a migration."
    )


def test_a_slugs_framework_is_djangos_when_it_has_both():
    assert framework_of(is_django=True, packages=["alembic"]) == "django"
    assert framework_of(is_django=False, packages=["alembic"]) == "alembic"
    assert framework_of(is_django=False, packages=["flask"]) == ""


def test_the_session_of_a_migrate_has_a_name_that_the_app_may_choose_itself():
    assert guards("alembic upgrade head", [], app="ab" * 16)["PGAPPNAME"] == "greenroom-migrate-abababababababab"
    assert "PGAPPNAME" not in guards("alembic upgrade head", ["PGAPPNAME"], app="ab" * 16)


def test_what_takes_a_plan_back_names_the_migration_before_it_app_by_app_backwards():
    plan = [
        {"name": "shop.0003_a", "parent": "0002_z", "reversible": True},
        {"name": "pay.0001_initial", "parent": "", "reversible": True},
        {"name": "shop.0004_b", "parent": "0003_a", "reversible": True},
    ]
    assert undo("django", plan) == ["shop 0002_z", "pay zero"]
    assert undo("django", [*plan, {"name": "pay.0002_x", "parent": "0001_initial", "reversible": False}]) == []
    assert undo("alembic", [{"name": "b2 price"}]) == []
    assert undo("django", [{"name": "shop.0002_price"}]) == [], "asked by an older probe"


def test_a_migrate_inside_a_shell_line_is_said_to_run_without_the_net():
    for command in (
        "python manage.py migrate && rm x",
        "bash -c 'python manage.py migrate'",
        "sh -c 'alembic upgrade head; date'",
    ):
        assert "without a snapshot" in without_net(command)
    for command in ("python manage.py migrate", "bash", "python manage.py migrate --plan && date", "echo done"):
        assert without_net(command) == ""
