"""Databases created while they or their app are destroyed, and concurrent changes of add-ons: nothing is orphaned."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import psycopg
import pytest
from django.db import transaction

from greenroom.accounts.rules import PLATFORM
from greenroom.addons import actions as addons
from greenroom.addons.models import Addon, Attachment
from greenroom.addons.postgres import actions as postgres
from greenroom.addons.postgres.drivers import server
from greenroom.apps.models import App
from greenroom.basics.errors import ConflictError, GreenroomError, NotFoundError
from greenroom.config_vars import queries as config
from greenroom.deliveries.actions import addon_lifecycle as resources
from greenroom.deliveries.actions import app_lifecycle, create_app
from greenroom.engine.memory import MemoryEngine
from tests.meeting import Aside, while_it_is_changed

pytestmark = pytest.mark.django_db(transaction=True)
OURS = r"^[du][0-9a-f]{12}"
NOW = timedelta(0)


def on_the_server():
    with server.connect() as connection:
        return server.names_like(connection, OURS)


@pytest.fixture
def store(alice, home, monkeypatch):
    """An app without a database, on a server without databases of apps. Removes the test's databases at the end."""
    monkeypatch.setattr(app_lifecycle.switch, "remove", lambda *_: None)
    assert on_the_server() == []
    yield create_app(actor=alice, name="store", home=home)
    for addon in Addon.objects.all():
        postgres.deprovision(addon=addon)


@pytest.fixture
def remains():
    """Drops the databases and roles that a failed test leaves on the server."""
    yield
    with server.connect() as connection:
        for name in on_the_server():
            server.drop_database(connection, name)
        for name in {name for name in on_the_server() if name.startswith("u")}:
            postgres.roles.drop(connection, name)


@pytest.fixture
def meanwhile(monkeypatch):
    """Start another change just before a database is created. The creation goes on once it has ended or waits for a
    lock.
    """
    others: list[Aside] = []

    def begin(step):
        real = postgres.build

        def build(**given):
            if not others:
                others.append(Aside(step))
                others[0].waits()
            return real(**given)

        monkeypatch.setattr(postgres, "build", build)
        return others

    return begin


def destroy(alice, app, home):
    app_lifecycle.destroy(actor=alice, app=app, engine=MemoryEngine(), home=home)


def test_an_app_is_destroyed_after_the_database_that_is_being_made_for_it(alice, store, home, meanwhile, remains):
    others = meanwhile(lambda: destroy(alice, store, home))
    resources.create(kind="postgres", actor=alice, app=store, home=home, name="", wanted="MORE", confirmed=False)
    others[0].end()
    assert not App.objects.filter(pk=store.pk).exists()
    assert on_the_server() == []


def test_a_database_is_destroyed_after_it_was_made(alice, store, home, meanwhile, remains):
    others = meanwhile(lambda: resources.destroy(actor=alice, addon=Addon.objects.get(), home=home, force=False))
    resources.create(kind="postgres", actor=alice, app=store, home=home, name="", wanted="", confirmed=False)
    others[0].end()
    assert not Addon.objects.exists()
    assert on_the_server() == []
    assert config.values(config.latest(store), home) == {}


def test_no_database_is_made_for_an_app_that_is_gone(alice, store, home, remains):
    stale = App.objects.get(pk=store.pk)
    destroy(alice, store, home)
    with pytest.raises(NotFoundError, match="Couldn't find that app: store"):
        resources.create(kind="postgres", actor=alice, app=stale, home=home, name="", wanted="", confirmed=False)
    assert on_the_server() == []


def test_what_was_destroyed_since_the_worker_looked_is_not_made_again(alice, store, home, monkeypatch, remains):
    half = addons.record(kind="postgres", actor=alice, app=store, home=home, attachment="HALF")
    addons.record(kind="postgres", actor=alice, app=store, home=home, attachment="OTHER")
    App.objects.get().releases.update(version=2)
    real = resources.guard.run

    def run(key, name, step):
        if key == half.pk:
            resources.destroy(actor=alice, addon=Addon.objects.get(pk=half.pk), home=home, force=False)
        real(key, name, step)

    monkeypatch.setattr(resources.guard, "run", run)
    resources.heal(home=home, after=NOW)
    assert [row.state for row in Addon.objects.all()] == ["provisioned"]
    assert not any(name.startswith((half.data["database"], half.data["role"])) for name in on_the_server())


def test_roles_are_not_made_for_a_database_that_was_destroyed_since_it_was_looked_up(
    alice, store, home, monkeypatch, remains
):
    apps = [store, create_app(actor=alice, name="other", home=home)]
    for app in apps:
        resources.create(kind="postgres", actor=alice, app=app, home=home, name="", wanted="", confirmed=False)
    for addon in Addon.objects.all():
        Addon.objects.filter(pk=addon.pk).update(
            data={key: value for key, value in addon.data.items() if key != "roles"}
        )
    real = postgres.build

    def build(*, addon, home):
        for other in Addon.objects.exclude(pk=addon.pk):
            resources.destroy(actor=alice, addon=other, home=home, force=False)
        return real(addon=addon, home=home)

    monkeypatch.setattr(postgres, "build", build)
    done = postgres.catch_up(home=home)
    assert done == list(Addon.objects.all())
    assert {name[1:13] for name in on_the_server()} == {done[0].data["role"][1:]}


def test_roles_do_not_come_back_when_a_database_is_checked_that_is_gone(alice, store, home, remains):
    resources.create(kind="postgres", actor=alice, app=store, home=home, name="", wanted="", confirmed=False)
    stale = Addon.objects.select_related("app").get()
    resources.destroy(actor=alice, addon=Addon.objects.get(), home=home, force=False)
    with suppress(GreenroomError, psycopg.Error):
        assert not postgres.check(addon=stale, home=home)
    assert on_the_server() == []


def test_one_that_is_to_go_is_neither_finished_nor_attached_nor_renamed(alice, store, home):
    addon = resources.create(kind="postgres", actor=alice, app=store, home=home, name="", wanted="", confirmed=False)
    stale = Addon.objects.select_related("app").get()
    addons.give_up(actor=alice, addon=addon)
    addons.finish(addon=Addon.objects.get(), home=home)
    assert Addon.objects.get().state == "deprovisioning"
    for change in (
        lambda: resources.attach(actor=alice, addon=stale, app=store, home=home, wanted="LATE", confirmed=False),
        lambda: addons.rename(actor=alice, addon=stale, name="other"),
        lambda: resources.destroy(actor=alice, addon=stale, home=home, force=True),
    ):
        with pytest.raises(NotFoundError, match="Couldn't find that add-on"):
            change()
    assert not Attachment.objects.exists()
    resources.heal(home=home, after=NOW)
    assert not Addon.objects.exists()


def test_who_attaches_a_database_while_it_is_destroyed_is_seen_or_waits(alice, store, home, monkeypatch):
    """Without force, a database that another app uses is not destroyed, however late it was attached."""
    addon = resources.create(kind="postgres", actor=alice, app=store, home=home, name="", wanted="", confirmed=False)
    other = create_app(actor=alice, name="other", home=home)
    with transaction.atomic():
        resources.attach(actor=alice, addon=addon, app=other, home=home, wanted="SHARED", confirmed=False)
        aside = Aside(lambda: resources.destroy(actor=alice, addon=Addon.objects.get(), home=home, force=False))
        assert aside.waits()
    with pytest.raises(ConflictError, match="is also attached to other"):
        aside.end()
    assert Addon.objects.get().state == "provisioned"


def two_that_see(alice, store, home, addon):
    other = create_app(actor=alice, name="other", home=home)
    addons.attach(actor=alice, addon=addon, app=other, name="SHARED")
    return sorted([store, other], key=lambda app: app.pk)


def test_a_database_of_two_apps_that_goes_waits_for_both_before_it_holds_anything(alice, store, home):
    addon = resources.create(kind="postgres", actor=alice, app=store, home=home, name="", wanted="", confirmed=False)
    seers = two_that_see(alice, store, home, addon)
    while_it_is_changed(seers[1], lambda: resources.destroy(actor=alice, addon=addon, home=home, force=True))
    assert not Addon.objects.exists()
    assert [config.values(config.latest(app), home) for app in seers] == [{}, {}]


def test_a_database_of_two_apps_that_is_made_waits_for_both_before_it_holds_anything(alice, store, home):
    addon = addons.record(kind="postgres", actor=alice, app=store, home=home, attachment="HALF")
    App.objects.get().releases.update(version=2)
    seers = two_that_see(alice, store, home, addon)
    while_it_is_changed(seers[1], lambda: resources.heal(home=home, after=NOW))
    assert Addon.objects.get().state == "provisioned"
    assert all(config.values(config.latest(app), home) for app in seers)


@pytest.mark.parametrize("change", ["give_up", "claim"])
def test_an_add_on_is_changed_behind_its_app(alice, store, home, change):
    app_lifecycle.finish(actor=alice, app=store, home=home)
    addon = Addon.objects.get()
    with transaction.atomic():
        App.objects.select_for_update(no_key=True).get(pk=store.pk)
        step = {
            "give_up": lambda: addons.give_up(actor=PLATFORM, addon=addon),
            "claim": lambda: addons.claim(kind="postgres", actor=alice, app=store, name="mine"),
        }
        other = Aside(step[change])
        assert other.waits()
        Addon.objects.filter(pk=addon.pk).update(plan="x")
    other.end()
