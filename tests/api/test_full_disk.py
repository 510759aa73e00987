"""A disk below its reserve: requests that use space get 507 and a remedy, those that read or free space still work."""

from __future__ import annotations

import shutil
from collections import namedtuple

import pytest
from django.conf import settings

from greenroom.basics import disk
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.steps import Steps
from greenroom.engine.memory import MemoryEngine
from greenroom.entrypoints.api import disk_reserve, routing
from tests.api.world import client_of, place
from tests.deliveries.world import World

pytestmark = pytest.mark.django_db
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def full(monkeypatch):
    """A disk of 100 GB with 12 MB free."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**11, 10**11, 12_000_000))


def test_the_reserve_is_smaller_on_a_small_disk(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 0, 60_000_000))
    assert disk.lacking(tmp_path) == ""
    assert "the reserve is 50 MB, and this needs 20 MB" in disk.lacking(tmp_path, need=20_000_000)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("patch", "/apps/shop/config-vars", '{"A": "1"}'),
        ("post", "/apps/shop/builds", '{"source_blob": {"url": "https://example.com/x.tgz"}}'),
        ("post", "/apps/shop/releases", '{"slug": "00000000-0000-4000-8000-000000000001"}'),
        ("post", "/apps/shop/pg/snapshots", "{}"),
        ("post", "/apps", '{"name": "another"}'),
        ("post", "/sources", "{}"),
    ],
)
def test_what_takes_space_is_refused_before_anything_changes(alice, shop, full, method, path, body):
    answer = getattr(client_of(alice), method)(path, body, content_type="application/json")
    assert (answer.status_code, answer.json()["id"]) == (507, "disk_full")
    assert "12 MB free" in answer.json()["message"]
    assert "greenroom destroy" in answer.json()["hint"]


def test_reading_and_what_frees_space_go_on(alice, shop, full):
    client = client_of(alice)
    assert client.get("/apps/shop").status_code == 200
    assert client.get("/apps/shop/releases").status_code == 200
    assert client.patch("/apps/shop", '{"maintenance": true}', content_type="application/json").status_code == 200
    for method, pattern in (
        ("PATCH", "/apps/{app}/formation"),
        ("POST", "/apps/{app}/dynos"),
        ("POST", "/apps/{app}/builds/{build}/actions/cancel"),
    ):
        row = next(row for row in routing.ROUTES if (row.method, row.pattern) == (method, pattern))
        assert not disk_reserve.takes_space(row), pattern
    reset = next(row for row in routing.ROUTES if row.pattern.endswith("/databases/{database}/reset"))
    assert disk_reserve.takes_space(reset), "it makes a snapshot and keeps what it replaces"
    assert not [row.pattern for row in routing.ROUTES if row.method == "DELETE" and disk_reserve.takes_space(row)]


def test_a_rollback_and_the_end_of_its_pause_are_ways_out(alice, shop, full, monkeypatch):
    monkeypatch.setattr("greenroom.deliveries.steps.intact", lambda *_: True)
    monkeypatch.setenv("GREENROOM_WATCH_SECONDS", "0")
    client = client_of(alice)
    with place() as home:
        world = World(alice, shop, home, settings.INSTALLATION)
        first, _ = world.live(), world.live()
        answer = client.post(
            "/apps/shop/releases", f'{{"release": "v{first.release.version}"}}', content_type="application/json"
        )
        assert answer.status_code == 201, answer.json()
        row = world.run(Delivery.objects.get(release__app=shop, release__version=answer.json()["version"]))
        assert (row.state, world.serving()) == ("live", first.sha)
    assert client.patch("/apps/shop", '{"deploy_paused": ""}', content_type="application/json").status_code == 200


def test_the_paths_that_are_named_exist():
    assert {row.pattern for row in routing.ROUTES} >= disk_reserve.MORE
    assert {(row.method, row.pattern) for row in routing.ROUTES} >= disk_reserve.ASKING_ITSELF


def test_a_build_waits_for_room_and_says_so_once(home, shop, full, monkeypatch):
    delivery = Delivery.objects.create(app=shop, sha="a" * 40, seq=1, kind="push")
    steps = Steps(MemoryEngine(), home, settings.INSTALLATION)
    said = []
    monkeypatch.setattr(steps, "once", lambda delivery, key, text: said.append((key, text)))
    steps.build(delivery, None)
    assert delivery.build is None
    assert said[0][0] == "disk_full"
    assert "Waiting for free disk space" in said[0][1]
