"""A forge on this machine, a repository there, and the worker's turns without threads."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from greenroom.accounts import actions as accounts
from greenroom.accounts.models import Account
from greenroom.basics import outgoing
from greenroom.project.installation import DEFAULTS
from greenroom.sources.loop import Loop
from greenroom.sources.loop.reports import Loop as ReportLoop
from greenroom.sources.models import Source
from tests.sources.forge import Repo, forging

HERE = outgoing.networks(["127.0.0.0/8"])


@pytest.fixture(autouse=True)
def place(settings, monkeypatch, home):
    settings.PRIVATE_TARGETS = HERE
    monkeypatch.setattr("greenroom.entrypoints.api.views_sources.HOME", home)


@pytest.fixture
def forge(tmp_path):
    with forging(tmp_path / "forge") as made:
        yield made


@pytest.fixture
def repo(forge):
    return Repo(forge)


class Api:
    """Alice's API requests about the source of her app, the shop."""

    def __init__(self, actor):
        plain = accounts.create_token(actor=actor, account=Account.objects.get(pk=actor.account_id))[1]
        self.client = Client(headers={"Authorization": f"Bearer {plain}"})

    def __call__(self, method, path="", body=None):
        return self.client.generic(
            method,
            f"/apps/shop/source{path}",
            b"" if body is None else json.dumps(body),
            content_type="application/json",
        )

    def set(self, url, **other):
        return self("PUT", "", {"url": url, **other})

    def info(self):
        return self("GET").json()


@pytest.fixture
def api(alice, shop):
    return Api(alice)


@pytest.fixture
def look(home):
    """One turn of the worker, with everything due; returns the source."""
    turns = Loop(home, HERE, hands=0)
    turns.first = False

    def turn(due=True):
        if due:
            Source.objects.update(next_at=timezone.now() - timedelta(minutes=1))
        turns.turn()
        return Source.objects.get()

    return turn


@pytest.fixture
def tell(home):
    return ReportLoop(home, {**DEFAULTS, "http_port": 8080}, HERE).turn
