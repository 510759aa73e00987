"""Each app is set up once, also by concurrent processes; dynos of destroyed apps are stopped."""

from __future__ import annotations

import pytest

from greenroom.addons import queries as addons
from greenroom.addons.actions import Surroundings, drop_doubles, make_doubles
from greenroom.addons.postgres import actions as postgres
from greenroom.apps.models import App
from greenroom.deliveries.actions import addon_lifecycle, app_lifecycle
from greenroom.engine.contract import PLATFORM, DynoSpec
from greenroom.engine.memory import MemoryEngine
from tests.addons.conftest import same_server  # noqa: F401 -- fixtures
from tests.api.world import client_of
from tests.at_once import at_once

pytestmark = pytest.mark.django_db


def test_dynos_of_apps_that_are_no_more_are_ended_and_no_others(shop, cafe):
    engine = MemoryEngine()
    for name, owner in (
        ("of-shop", shop.id.hex),
        ("of-none", "0" * 32),
        ("installs", PLATFORM),
        ("of-cafe", cafe.id.hex),
    ):
        engine.start(DynoSpec(id=name, owner=owner, uid=1, process="run.1", kind="run", command=("true",), env={}))
    assert app_lifecycle.sweep_dynos(engine) == ["of-none"]
    app_lifecycle.end_dynos(engine, shop.id.hex)
    assert sorted(state.id for state in engine.list()) == ["installs", "of-cafe"]


@pytest.mark.django_db(transaction=True)
def test_an_app_that_web_and_worker_make_at_once_gets_one_database_and_one_release(alice, shop, home):
    assert at_once(lambda: app_lifecycle.finish(actor=alice, app=shop, home=home), 2) == []
    addon = shop.addons.get()
    assert addon.state == "provisioned"
    assert list(shop.releases.filter(kind="addon").values_list("description", flat=True)) == [
        f"Attach DATABASE ({addon.name})"
    ]
    postgres.deprovision(addon=addon)


def test_an_app_that_wants_no_database_gets_none_until_somebody_adds_one(alice, home):
    app = app_lifecycle.create(actor=alice, name="plain", home=home, bare=True)
    app_lifecycle.finish(actor=alice, app=app, home=home)  # as the worker does for every app without a second release
    assert (app.addons.count(), app.releases.count(), addons.nowhere(app)) == (0, 1, {})
    assert (home / app.repo_folder).is_dir()
    assert make_doubles(app=app, label="a test run") == Surroundings({}, (), ())
    row = addon_lifecycle.create(kind="postgres", actor=alice, app=app, home=home, name="", wanted="", confirmed=False)
    try:
        assert list(app.addons.get().attachments.values_list("name", flat=True)) == ["DATABASE"]
        assert list(addons.nowhere(app)) == ["DATABASE_URL"]
        assert list(make_doubles(app=app, label="a test run").values) == ["DATABASE_URL"]
    finally:
        drop_doubles(label="a test run")
        postgres.deprovision(addon=row)


def test_the_api_makes_an_app_without_a_database_only_if_asked(alice, home, monkeypatch):
    monkeypatch.setattr("greenroom.entrypoints.api.views_apps.HOME", home)
    client = client_of(alice)
    assert (
        client.post("/apps", {"name": "plain", "database": False}, content_type="application/json").status_code == 201
    )
    assert client.post("/apps", {"name": "usual"}, content_type="application/json").status_code == 201
    made = {app.name: list(app.addons.all()) for app in App.objects.filter(name__in=["plain", "usual"])}
    assert [len(made["plain"]), len(made["usual"])] == [0, 1]
    postgres.deprovision(addon=made["usual"][0])
