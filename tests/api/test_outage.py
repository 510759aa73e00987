"""A PostgreSQL that restarts while requests are under way: reads are answered after all, everything else is a 503 that
says when to come back.
"""

from __future__ import annotations

import threading

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.test import RequestFactory

from greenroom.entrypoints.api import database_outage, routing
from greenroom.entrypoints.api.middleware import ApiErrors
from tests.api.world import client_of


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(database_outage, "PAUSES", (0.0, 0.0))


@pytest.mark.django_db(transaction=True)
def test_a_read_whose_connection_was_killed_is_answered(alice, shop, monkeypatch):
    client, real, killed = client_of(alice), routing.rate_limits.spend, []

    def kill_once(*words):
        if not killed:
            killed.append(1)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return real(*words)

    monkeypatch.setattr(routing.rate_limits, "spend", kill_once)
    assert client.get("/apps/shop").json()["name"] == "shop"
    assert killed


@pytest.mark.django_db
@pytest.mark.parametrize(
    "error", [OperationalError("the connection is closed"), InterfaceError("connection already closed")]
)
@pytest.mark.parametrize(("method", "path"), [("get", "/apps/shop"), ("patch", "/apps/shop/config-vars")])
def test_what_cannot_be_answered_is_a_503_that_says_when_to_come_back(alice, shop, monkeypatch, method, path, error):
    client = client_of(alice)

    def fail(*_):
        raise error

    monkeypatch.setattr(routing, "authorise", fail)
    answer = getattr(client, method)(path, "{}" if method == "patch" else {}, content_type="application/json")
    assert (answer.status_code, answer.json()["id"]) == (503, "platform_error")
    assert answer["Retry-After"] == "3"
    assert "database is restarting" in answer.json()["message"]


def test_a_write_is_not_tried_again():
    tried = []

    def answer():
        tried.append(1)
        raise OperationalError("gone")

    with pytest.raises(OperationalError):
        database_outage.tried_again(RequestFactory().patch("/x"), answer)
    assert len(tried) == 1


def test_a_few_reads_wait_and_the_others_are_told_at_once(monkeypatch):
    tried = []

    def answer():
        tried.append(1)
        raise OperationalError("gone")

    monkeypatch.setattr(database_outage, "_waiting", threading.BoundedSemaphore(1))
    with pytest.raises(OperationalError):
        database_outage.tried_again(RequestFactory().get("/x"), answer)
    assert len(tried) == 4
    database_outage._waiting.acquire()
    with pytest.raises(OperationalError):
        database_outage.tried_again(RequestFactory().get("/x"), answer)
    assert len(tried) == 5


def test_another_failure_is_still_a_500():
    answer = ApiErrors(lambda request: None).process_exception(RequestFactory().get("/x"), ZeroDivisionError())
    assert answer.status_code == 500
