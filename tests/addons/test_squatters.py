"""A test run may create databases, but it cannot take the names that the platform needs for other apps' databases."""

from __future__ import annotations

import psycopg
import pytest

from greenroom.addons.postgres.actions import restores, snapshots, throwaways
from greenroom.addons.postgres.drivers import clones, server
from tests.addons.conftest import as_app

pytestmark = pytest.mark.django_db


@pytest.fixture
def squatter():
    made = throwaways.make(label="squatter")
    yield made
    throwaways.drop(label="squatter")


def take(squatter, name):
    """Take the name with a database that is hard to drop."""
    with as_app(squatter.values["_URL"]) as connection:
        connection.execute(f"CREATE DATABASE {name} IS_TEMPLATE true")
        connection.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC, {squatter.name}")


def owner(name):
    with server.connect() as connection:
        row = connection.execute(
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", [name]
        ).fetchone()
    return row[0] if row else None


def test_a_restore_and_a_reset_succeed_under_taken_names(alice, database, home, squatter):
    addon, url = database
    snapshot = snapshots.capture(actor=alice, addon=addon, home=home, kind="manual")
    for number in range(1, 6):
        take(squatter, f"{addon.data['database']}_restore_{number}")
    row = restores.restore(actor=alice, addon=addon, snapshot=snapshot, home=home)
    assert row.state == "swapped"
    assert owner(row.kept) == owner(addon.data["database"]) == "greenroom"
    with as_app(url) as connection:
        assert connection.execute("SELECT count(*) FROM shop_order").fetchone() == (1000,)


def test_a_taken_name_of_the_replaced_database_does_not_pass_for_an_exchange(database, squatter):
    addon, url = database
    current = addon.data["database"]
    with server.connect() as connection:
        server.make_database(connection, f"{current}_restore_1", addon.data["role"])
    take(squatter, f"{current}_old_20260101000000_1")
    server.exchange(current=current, new=f"{current}_restore_1", kept=f"{current}_old_20260101000000_1")
    with as_app(url) as connection, pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("SELECT 1 FROM shop_order")


def test_a_rehearsal_is_made_under_a_taken_name_and_the_squatter_may_create_no_more(database, squatter, tmp_path):
    addon, _ = database
    name = clones.name_for(addon, 1)
    take(squatter, name)
    assert clones.make(addon=addon, name=name, folder=tmp_path, deadline=60).tables == 2
    assert owner(name) == "greenroom"
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        take(squatter, f"{name}_bare")
    clones.drop(name=name)
