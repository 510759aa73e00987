"""Routes follow their rows: for all apps with a fixed number of queries, and for one app before its dyno is stopped."""

from __future__ import annotations

import os

import pytest

from greenroom.apps import actions as apps
from greenroom.basics import clock
from greenroom.config_vars.actions import write
from greenroom.deliveries.loop import Loop
from greenroom.deliveries.models import Delivery
from greenroom.dynos.models import Dyno, Formation, Rollout
from greenroom.engine.memory import MemoryEngine
from greenroom.releases.actions import release
from greenroom.router import actions, queries
from greenroom.router.models import Route
from greenroom.slugs.models import Slug

pytestmark = pytest.mark.django_db


def serve(app, actor, home, count=2):
    """A live release with that many healthy web dynos."""
    slug = Slug.objects.create(app=app, digest=f"{app.number:064x}", commit="a" * 40, process_types={"web": "x"})
    config = write(app=app, home=home, values={}, actor=actor)
    row = release(actor=actor, app=app, kind="config", description="x", slug=slug, config=config)
    Rollout.objects.create(app=app, release=row, state="live")
    Formation.objects.create(app=app, type="web", quantity=count)
    for number in range(1, count + 1):
        Dyno.objects.create(
            app=app,
            release=row,
            kind="web",
            type="web",
            ordinal=number,
            command="x",
            state="up",
            healthy=True,
            engine_id=f"{app.name}-{number}",
            endpoint=f"run/sockets/{app.name}-{number}",
        )


def sockets(app):
    return Route.objects.get(app=app).sockets


@pytest.fixture
def turning(home, settings, monkeypatch):
    monkeypatch.setattr(actions, "render", lambda **_: False)
    return Loop(MemoryEngine(), home, settings.INSTALLATION)


def test_a_dyno_that_leaves_gets_no_new_request(alice, shop, home):
    serve(shop, alice, home)
    actions.reroute(app=shop, home=home)
    assert sockets(shop) == ["run/sockets/shop-1", "run/sockets/shop-2"]
    Dyno.objects.filter(engine_id="shop-2").update(state="stopping")
    actions.reroute(app=shop, home=home)
    assert sockets(shop) == ["run/sockets/shop-1"]
    folder = home / "run/router" / shop.id.hex
    assert {os.readlink(folder / str(slot)) for slot in range(12)} == {"../../sockets/shop-1"}


def test_the_number_of_queries_does_not_grow_with_the_number_of_apps(alice, shop, home, django_assert_num_queries):
    serve(shop, alice, home)
    for number in range(10):
        serve(apps.create(actor=alice, name=f"more-{number}"), alice, home)
    with django_assert_num_queries(5):
        found = {app.name: goal for app, _, _, goal in queries.goals()}
    assert found["more-7"].sockets == ("run/sockets/more-7-1", "run/sockets/more-7-2")


def test_a_release_on_trial_has_the_traffic(alice, shop, home):
    serve(shop, alice, home)
    Rollout.objects.filter(app=shop).update(state="watched")
    actions.reroute(app=shop, home=home)
    assert len(sockets(shop)) == 2
    assert [goal.page for *_, goal in queries.goals()] == [""]


def test_what_is_asked_for_all_apps_is_what_is_asked_for_one(alice, shop, cafe, home):
    serve(shop, alice, home)
    actions.reroute(app=shop, home=home)
    Dyno.objects.filter(app=shop).update(healthy=False, restarts=2)
    for app, live, _, goal in queries.goals():
        assert goal == queries.target(queries.facts(app, live))


@pytest.mark.parametrize(
    ("state", "page"),
    [
        ("building", "H81-starting"),
        ("rolling_out", "H81-starting"),
        ("held", "H81-held"),
        ("refused", "H81-refused"),
        ("failed", "H81-failed"),
        ("superseded", "H81"),
    ],
)
def test_the_page_of_an_app_without_a_release_says_how_the_newest_delivery_is_doing(shop, cafe, turning, state, page):
    for seq, one in enumerate(("failed", state), start=1):
        Delivery.objects.create(app=shop, sha="a" * 40, seq=seq, kind="push", state=one)
    turning._routes()
    turning._routes()
    assert {route.app.name: route.page for route in Route.objects.all()} == {"shop": page, "cafe": "H81"}
    actions.reroute(app=shop, home=turning.home)
    assert Route.objects.get(app=shop).page == page, "a dyno of it that ends changes nothing"


def test_what_somebody_removed_from_the_disk_is_made_again(alice, shop, home, turning, monkeypatch):
    serve(shop, alice, home)
    turning._routes()
    slot, name = home / "run/router" / shop.id.hex / "3", home / "run/router/hosts/shop.localhost"
    slot.unlink()
    name.unlink()
    later = clock.monotonic() + actions.LOOK + 1
    monkeypatch.setattr(clock, "monotonic", lambda: later)
    turning._routes()
    assert os.readlink(slot).startswith("../../sockets/shop-")
    assert os.readlink(name) == f"../{shop.id.hex}"


def test_trouble_with_the_route_of_one_app_does_not_stop_another(
    alice, charlie, shop, cafe, home, turning, caplog, monkeypatch
):
    serve(shop, alice, home)
    serve(cafe, charlie, home)
    real = actions.switch_to

    def switch_to(*, app, **rest):
        if app.pk == shop.pk:
            raise OSError("the disk is full")
        return real(app=app, **rest)

    monkeypatch.setattr(actions, "switch_to", switch_to)
    turning._routes()
    turning._routes()
    assert sockets(cafe)
    assert [record.getMessage() for record in caplog.records].count("app shop: the disk is full") == 1


@pytest.mark.django_db(transaction=True)
def test_an_app_that_is_destroyed_during_a_turn_is_no_error(
    alice, charlie, shop, cafe, home, turning, caplog, monkeypatch
):
    serve(cafe, charlie, home)
    goals = queries.goals()
    apps.destroy(actor=alice, app=next(app for app, *_ in goals if app.pk == shop.pk))
    monkeypatch.setattr(queries, "goals", lambda states: goals)
    turning._routes()
    assert sockets(cafe)
    assert [record for record in caplog.records if record.levelname != "INFO"] == []
