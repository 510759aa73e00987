"""Fixtures: a database of ``shop`` with rows in it, and connections with the app's credentials."""

from __future__ import annotations

from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings as django_settings

from greenroom.addons import actions as addons
from greenroom.addons.postgres import actions

FILLED = """
CREATE TABLE django_migrations (id serial PRIMARY KEY, app text, name text, applied timestamptz DEFAULT now());
INSERT INTO django_migrations (app, name) VALUES ('shop', '0001_initial'), ('shop', '0002_order');
CREATE TABLE shop_order (id serial PRIMARY KEY, price numeric NOT NULL CHECK (price > 0));
INSERT INTO shop_order (price) SELECT n FROM generate_series(1, 1000) n;
CREATE INDEX by_price ON shop_order (price);
CREATE SCHEMA report;
CREATE VIEW report.total AS SELECT sum(price) AS total FROM public.shop_order;
CREATE FUNCTION report.twice(n numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
CREATE EXTENSION pg_trgm;
"""


@contextmanager
def as_app(url, database=""):
    """Connect with the credentials of a DATABASE_URL, to its database or to another one."""
    parts, own = urlsplit(url), django_settings.DATABASES["default"]
    with psycopg.connect(
        host=own["HOST"],
        port=own["PORT"],
        user=parts.username,
        password=parts.password,
        dbname=database or parts.path[1:],
        autocommit=True,
    ) as connection:
        yield connection


@pytest.fixture(autouse=True)
def same_server(settings):
    """The suite's server counts as external, so apps connect to the same address as the suite."""
    settings.INSTALLATION = {**settings.INSTALLATION, "postgres": "external"}


@pytest.fixture
def database(alice, shop, home):
    """(add-on, URL) of shop's database, filled."""
    addon, values = addons.provision(kind="postgres", actor=alice, app=shop, home=home)
    with as_app(values["DATABASE_URL"]) as connection:
        connection.execute(FILLED)
    yield addon, values["DATABASE_URL"]
    actions.deprovision(addon=addon)
