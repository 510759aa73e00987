"""Tests of the control plane's database connections."""

from __future__ import annotations

import os

import psycopg
import pytest
from django.db.utils import ConnectionHandler

from greenroom.project.installation import database_from_url

pytestmark = pytest.mark.django_db
END_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pool-test'"


@pytest.fixture
def connections():
    url = os.environ["DATABASE_URL"]
    mark = "&" if "?" in url else "?"
    handler = ConnectionHandler({"default": database_from_url(f"{url}{mark}application_name=pool-test")})
    yield handler
    handler["default"].close()
    handler["default"].close_pool()


def one(connection) -> int:
    """Like a request: take a connection from the pool, run a query, and return it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        found = cursor.fetchone()[0]
    connection.close()
    return found


def test_a_connection_of_a_postgresql_that_died_is_never_handed_out(connections):
    connection = connections["default"]
    assert one(connection) == 1
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as other:
        assert other.execute(END_ALL).fetchall()
    assert one(connection) == 1
