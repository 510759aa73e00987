"""Databases of apps on a real server: which roles can connect, and which cannot grant access to others."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import psycopg
import pytest

from greenroom.addons import actions as addons
from greenroom.addons.postgres import actions
from greenroom.addons.postgres.actions import throwaways
from greenroom.addons.postgres.drivers import server
from greenroom.addons.queries import database_of
from tests import homes
from tests.addons.conftest import as_app
from tests.postgres import frequent_autovacuum

pytestmark = pytest.mark.django_db


@pytest.fixture
def databases(alice, charlie, shop, cafe, home):
    made = [
        addons.provision(kind="postgres", actor=alice, app=shop, home=home),
        addons.provision(kind="postgres", actor=charlie, app=cafe, home=home),
    ]
    yield [values["DATABASE_URL"] for _, values in made]
    for addon, _ in made:
        actions.deprovision(addon=addon)


def test_a_role_is_made_again_with_another_password_by_a_platform_that_is_no_superuser(databases):
    with server.connect() as connection:
        assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = CURRENT_USER").fetchone() == (False,)
        role = urlsplit(databases[0]).username
        server.make_role(connection, role, "another-password")
    with pytest.raises(psycopg.OperationalError, match="password"), as_app(databases[0]):
        pass
    with as_app(databases[0].replace(urlsplit(databases[0]).password, "another-password")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_throwaway_database_may_be_asked_for_twice(db):
    try:
        first = throwaways.make(label="twice")
        second = throwaways.make(label="twice")
        assert first.name == second.name
        with as_app(second.values["_URL"]) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        throwaways.drop(label="twice")


def test_an_app_uses_its_own_database_freely(databases):
    with as_app(databases[0]) as connection:
        connection.execute("CREATE TABLE t (n int)")
        connection.execute("CREATE SCHEMA s")
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        connection.execute("INSERT INTO t VALUES (1)")


def test_an_app_cannot_connect_to_another_apps_database(databases):
    for name in (urlsplit(databases[1]).path[1:],):
        with pytest.raises(psycopg.OperationalError, match="permission denied"), as_app(databases[0], name):
            pass


def test_an_app_cannot_let_everybody_into_its_database(databases):
    name = urlsplit(databases[0]).path[1:]
    with as_app(databases[0]) as connection:
        try:
            connection.execute(f'GRANT CONNECT ON DATABASE "{name}" TO PUBLIC')
        except psycopg.errors.InsufficientPrivilege:
            return
    with pytest.raises(psycopg.OperationalError, match="permission denied"), as_app(databases[1], name):
        pass


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT lo_import('/etc/passwd')",
        "CREATE ROLE x",
        "CREATE DATABASE x",
        "SET ROLE greenroom",
        "CREATE EXTENSION dblink",
        "CREATE EXTENSION file_fdw",
        "CREATE EVENT TRIGGER t ON ddl_command_start EXECUTE FUNCTION f()",
        "ALTER SYSTEM SET work_mem = '1GB'",
    ],
)
def test_an_apps_role_has_no_power_over_the_server(databases, statement):
    with as_app(databases[0]) as connection, pytest.raises(psycopg.Error):
        connection.execute(statement)


def test_provisioning_again_after_a_crash_changes_nothing(alice, shop, home, databases):
    addon = database_of(shop)
    assert addons.finish(addon=addon, home=home) == {"_URL": databases[0]}
    with as_app(databases[0]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_the_password_stands_nowhere_in_clear(shop, home, databases):
    addon = database_of(shop)
    password = urlsplit(databases[0]).password
    assert password.encode() not in bytes(addon.sealed)
    assert password not in str(addon.data)


def test_a_throwaway_role_may_create_databases_and_all_of_them_vanish():
    made = throwaways.make(label="test-1")
    with as_app(made.values["_URL"]) as connection:
        connection.execute("CREATE DATABASE test_of_throwaway")
    throwaways.drop(label="test-1")
    throwaways.drop(label="test-1")
    with server.connect() as connection:
        assert not server.role_exists(connection, made.name)
        found = connection.execute(
            "SELECT 1 FROM pg_database WHERE datname = ANY(%s)", [[made.name, "test_of_throwaway"]]
        )
        assert found.fetchone() is None


def test_what_was_made_for_nobody_who_is_there_any_more_is_dropped_and_a_new_one_stays():
    kept, left = (throwaways.make(label=label) for label in ("kept", "left"))
    there = throwaways.present()
    new = throwaways.make(label="new")
    try:
        assert {kept.name, left.name} <= there
        assert left.name in throwaways.drop_others(there=there, labels=["kept"])
        with server.connect() as connection:
            assert [server.role_exists(connection, made.name) for made in (kept, left, new)] == [True, False, True]
    finally:
        for label in ("kept", "left", "new"):
            throwaways.drop(label=label)


def test_a_test_run_cannot_keep_its_role_by_what_it_leaves_on_the_server():
    made, other = (throwaways.make(label=f"keeps-{number}") for number in (1, 2))
    try:
        with as_app(made.values["_URL"]) as connection, as_app(other.values["_URL"]) as helper:
            connection.execute("CREATE DATABASE kept_as_template")
            connection.execute("ALTER DATABASE kept_as_template IS_TEMPLATE true")
            helper.execute("CREATE DATABASE kept_elsewhere")
            helper.execute(f"GRANT CREATE ON DATABASE kept_elsewhere TO {made.name}")
        with as_app(made.values["_URL"], "kept_elsewhere") as connection:
            connection.execute("CREATE SCHEMA mine CREATE TABLE rows (n int)")
        with as_app(other.values["_URL"]) as helper:
            helper.execute("REVOKE CONNECT ON DATABASE kept_elsewhere FROM PUBLIC")
            helper.execute(f"REVOKE ALL ON DATABASE kept_elsewhere FROM {other.name}")
            helper.execute("ALTER DATABASE kept_elsewhere ALLOW_CONNECTIONS false")
        with as_app(made.values["_URL"], "postgres") as connection:
            connection.execute("SELECT lo_create(0) FROM generate_series(1, 3000)")
            throwaways.drop(label="keeps-1")
        with server.connect() as connection:
            assert not server.role_exists(connection, made.name)
            assert connection.execute("SELECT 1 FROM pg_database WHERE datname = 'kept_as_template'").fetchone() is None
    finally:
        for number in (1, 2):
            throwaways.drop(label=f"keeps-{number}")


def test_a_role_that_cannot_be_dropped_is_locked_out(monkeypatch):
    made = throwaways.make(label="locked")
    with as_app(made.values["_URL"]) as inside:
        with monkeypatch.context() as patch:
            patch.setattr(server, "drop_database", lambda *_: (_ for _ in ()).throw(psycopg.errors.ObjectInUse()))
            with pytest.raises(psycopg.errors.ObjectInUse):
                throwaways.drop(label="locked")
        with pytest.raises(psycopg.OperationalError):
            inside.execute("CREATE DATABASE late")
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"), as_app(made.values["_URL"]):
        pass
    throwaways.drop(label="locked")


AUTOVACUUM = "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND usename IS NULL"
SESSIONS = "SELECT backend_type, datname, state, wait_event, left(query, 80) FROM pg_stat_activity"


def test_a_worker_of_autovacuum_does_not_keep_a_database_from_being_dropped(database):
    addon, url = database
    if not homes.is_own("DATABASE_URL"):
        pytest.skip("a server of somebody else looks whether there is something to vacuum once a minute")
    with as_app(url) as inside:
        inside.execute(
            "CREATE TABLE slow (a int) WITH (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)"
        )
        inside.execute("INSERT INTO slow SELECT generate_series(1, 50000)")
        inside.execute("DELETE FROM slow WHERE a % 2 = 0")
    with server.connect() as connection, frequent_autovacuum(urlsplit(url).port):
        deadline, seen = time.monotonic() + 120, 0
        while seen < 5:  # still there a moment later: it is the slow vacuum
            assert time.monotonic() < deadline, ("no vacuum came", connection.execute(SESSIONS).fetchall())
            seen = seen + 1 if connection.execute(AUTOVACUUM, [addon.data["database"]]).fetchone() else 0
            time.sleep(0.1)
        server.drop_database(connection, addon.data["database"])
        assert not server.database_exists(connection, addon.data["database"])
