"""An error in one app does not block the worker's turns for other apps."""

from __future__ import annotations

import pytest

from greenroom.app_migrations import loop as migrations
from greenroom.apps.models import App
from greenroom.deliveries import actions as deliveries
from greenroom.deliveries.actions import app_lifecycle
from greenroom.dynos.models import Dyno
from greenroom.engine.memory import MemoryEngine
from greenroom.project import maintenance
from greenroom.router.actions import sni_endpoints
from greenroom.sources.loop import reports
from greenroom.sources.models import Source
from greenroom.webhooks import loop as webhooks
from greenroom.webhooks.models import Webhook

pytestmark = pytest.mark.django_db


@pytest.fixture
def turning(home, monkeypatch):
    it = maintenance.Loop(MemoryEngine(), home)
    it.parts = [it._new_apps, it._certificates]
    return it


def fails_for(app, done):
    """A step that fails for one app, and records the others."""

    def step(*given, **named):
        one = named.get("app") or named.get("source") or given[0]
        one = one if isinstance(one, App) else one.app
        if one.pk == app.pk:
            raise RuntimeError("a bug of ours")
        done.append(one.name)

    return step


def test_an_app_that_cannot_be_finished_does_not_keep_others_from_being_whole(
    alice, home, turning, monkeypatch, caplog
):
    done = []
    first, _ = (deliveries.create_app(actor=alice, name=name, home=home) for name in ("first", "second"))
    monkeypatch.setattr(app_lifecycle, "finish", fails_for(first, done))
    turning.turn()
    turning.turn()
    assert done == ["second", "second"]
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1, "said once"


def test_a_certificate_that_cannot_be_renewed_does_not_keep_others_from_it(shop, cafe, turning, monkeypatch):
    done = []
    App.objects.update(acm=True)
    monkeypatch.setattr(sni_endpoints, "renew", fails_for(shop, done))
    turning.turn()
    assert done == [cafe.name]


def test_a_part_that_fails_does_not_keep_the_next_from_its_turn(turning):
    done = []

    def broken():
        raise OSError("the disk is full")

    turning.parts = [broken, lambda: done.append(1)]
    turning.turn()
    assert done == [1]


def test_every_part_of_the_maintenance_is_a_part_of_its_turn(home):
    it = maintenance.Loop(MemoryEngine(), home)
    names = {name for name in vars(maintenance.Loop) if name.startswith("_") and not name.startswith("__")}
    assert {part.__name__ for part in it.parts} == names


def test_webhooks_of_one_app_do_not_stop_those_of_another(shop, cafe, home, monkeypatch):
    for app in (shop, cafe):
        Webhook.objects.create(app=app, url="https://example.com/", include=["api:release"], level="notify")
    done = []
    monkeypatch.setattr(webhooks.events, "look_at", fails_for(shop, done))
    webhooks.Loop(home, hands=0).turn()
    assert done == [cafe.name]


def test_reports_of_one_source_do_not_stop_those_of_another(shop, cafe, home, settings, monkeypatch):
    for app in (shop, cafe):
        Source.objects.create(
            app=app,
            url=f"https://github.example/x/{app.name}.git",
            kind="github",
            api="https://github.example/api",
            token=b"x",
            interval=300,
            hook=app.name,
        )
    done = []
    monkeypatch.setattr(reports.actions, "note_wanted", fails_for(shop, done))
    reports.Loop(home, settings.INSTALLATION).turn()
    assert done == [cafe.name]


def test_a_migrate_that_cannot_be_closed_does_not_keep_others_open(home, monkeypatch, shop, cafe):
    class Run:
        def __init__(self, app):
            self.app, self.pk, self.dyno = app, app.pk, Dyno(app=app, state="ended")

    done = []
    monkeypatch.setattr(migrations.queries, "open_runs", lambda: [Run(shop), Run(cafe)])
    monkeypatch.setattr(migrations.actions, "close_run", lambda run: fails_for(shop, done)(run))
    it = migrations.Loop(MemoryEngine(), home)
    monkeypatch.setattr(it.watchers, "see", lambda runs: None)
    it.turn()
    assert done == [cafe.name]
