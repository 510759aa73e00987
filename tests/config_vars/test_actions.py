"""Tests of encryption and versions of config vars, on a real PostgreSQL."""

from __future__ import annotations

import pytest
from django.db import connection

from greenroom.basics.errors import PlatformError, UserError
from greenroom.config_vars import actions, queries
from greenroom.config_vars.models import ConfigVersion

pytestmark = pytest.mark.django_db


def test_values_come_back_and_each_change_is_a_version(alice, shop, home):
    actions.change(actor=alice, app=shop, home=home, updates={"A": "1"})
    actions.change(actor=alice, app=shop, home=home, updates={"B": "2"})
    assert queries.values(queries.latest(shop), home) == {"A": "1", "B": "2"}
    assert queries.values(ConfigVersion.objects.get(app=shop, number=1), home) == {"A": "1"}


def test_a_change_that_changes_nothing_makes_no_version(alice, shop, home):
    actions.change(actor=alice, app=shop, home=home, updates={"A": "1"})
    assert actions.change(actor=alice, app=shop, home=home, updates={"A": "1", "Z": None}) is None


def test_no_value_stands_in_the_database_in_clear(alice, shop, home):
    actions.change(actor=alice, app=shop, home=home, updates={"A": "canary-8e21"})
    with connection.cursor() as cursor:
        cursor.execute("SELECT sealed, names::text, digest FROM config_vars_configversion")
        row = cursor.fetchone()
    assert b"canary" not in bytes(row[0])
    assert "canary" not in str(row[1:])


def test_a_sealed_value_does_not_open_in_another_apps_row(alice, shop, cafe, home):
    actions.change(actor=alice, app=shop, home=home, updates={"A": "1"})
    actions.change(actor=alice, app=cafe, home=home, updates={"A": "2"})
    stolen = queries.latest(shop).sealed
    row = queries.latest(cafe)
    row.sealed = stolen
    with pytest.raises(PlatformError):
        queries.values(row, home)


def test_a_refused_change_writes_nothing(alice, shop, home):
    with pytest.raises(UserError):
        actions.change(actor=alice, app=shop, home=home, updates={"GOOD": "1", "BAD-NAME": "2"})
    assert queries.latest(shop) is None
