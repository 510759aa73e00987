"""Databases of test runs and rehearsals are limited in size, like those of apps."""

from __future__ import annotations

import psycopg
import pytest

from greenroom.addons.postgres.actions import limits, throwaways
from greenroom.addons.postgres.drivers import clones, server, temporary
from tests.addons.conftest import as_app

pytestmark = pytest.mark.django_db


@pytest.fixture
def run():
    made = throwaways.make(label="large")
    with as_app(made.values["_URL"]) as connection:
        connection.execute("CREATE DATABASE test_large")
    yield made
    throwaways.drop(label="large")


def test_a_test_run_begins_with_the_time_limits_of_an_app(run):
    with as_app(run.values["_URL"]) as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == (limits.RUNNING["statement_timeout"],)


def test_a_database_that_a_test_run_made_is_closed_to_other_tenants(run, database):
    _, url = database
    temporary.look()
    with pytest.raises(psycopg.OperationalError, match="permission denied"), as_app(url, "test_large"):
        pass
    with as_app(run.values["_URL"], "test_large") as connection:
        connection.execute(f"REVOKE ALL ON DATABASE test_large FROM greenroom, {run.name}")
        temporary.look()
        connection.execute("CREATE TABLE t (n int)")


def test_a_test_run_whose_databases_are_too_large_is_locked_out(run, settings):
    with server.connect() as connection:
        one = server.facts(connection, run.name).bytes
        settings.DATABASE_MB = one * 3 // 4 // 1_000_000  # twice that fits one database, but not two
        assert one < temporary.limit(run.name) < 2 * one
        temporary.look()
        assert server.role_exists(connection, run.name)
    for name in (run.name, "test_large"):
        with pytest.raises(psycopg.OperationalError, match="not permitted to log in"), as_app(run.values["_URL"], name):
            pass


def test_a_rehearsal_may_have_what_its_app_may_have_and_as_much_again(database, settings, tmp_path):
    addon, _ = database
    clone = clones.make(addon=addon, name=clones.name_for(addon, 7), folder=tmp_path, deadline=60)
    settings.DATABASE_MB = clone.bytes // 3_000_000 + 1
    temporary.look()
    with as_app(clone.url), as_app(clone.app_url):
        pass
    settings.DATABASE_MB = clone.bytes // 5_000_000
    temporary.look()
    for url in (clone.url, clone.app_url):
        with pytest.raises(psycopg.OperationalError, match="not permitted to log in"), as_app(url):
            pass
    clones.drop(name=clone.name)
