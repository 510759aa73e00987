"""A request of a commit or an app that cannot be met ends its delivery at once, with the reason; platform errors are
retried.
"""

from __future__ import annotations

import pytest

from greenroom.basics import clock
from greenroom.basics.errors import AppError, ConflictError, NotFoundError, PlatformError, UserError
from greenroom.deliveries import loop
from greenroom.deliveries.models import Delivery
from greenroom.engine.memory import MemoryEngine
from greenroom.releases.models import Release

pytestmark = pytest.mark.django_db


@pytest.fixture
def turning(home, settings, monkeypatch, world):
    """A loop over the world's deliveries, with a clock controlled by the test."""
    it = loop.Loop(MemoryEngine(), home, settings.INSTALLATION)
    it.now = 1000.0
    monkeypatch.setattr(it, "_routes", lambda: None)
    monkeypatch.setattr(clock, "monotonic", lambda: it.now)
    return it


@pytest.mark.parametrize("key", ["HEROKU_APP_NAME", "PORT", "HEROKU_BRANCH"])
def test_a_release_does_not_wait_for_a_name_that_the_platform_sets(world, key):
    assert world.live(app_json={"env": {key: {"required": True}}}).state == "live"


def test_app_json_that_takes_the_config_over_its_limit_ends_the_delivery_with_that_reason(world, turning):
    world.set(BIG="x" * 60_000)
    Delivery.objects.all().delete()
    row = world.push(app_json={"env": {"MORE": "y" * 10_000}})
    turning.turn()
    row.refresh_from_db()
    assert row.state == "failed"
    assert row.reason.startswith("refused: app.json, env: The config vars would have 70")
    said = world.said(row)
    assert "65536 (64 KB) are allowed" in said
    assert " !     hint: do not store files in config vars; remove one: heroku config:unset NAME -a shop" in said
    assert "an error of Greenroom" not in said
    assert turning.troubles == {}


def test_after_the_remedy_the_same_commit_goes_on(world, turning):
    world.set(BIG="x" * 60_000)
    Delivery.objects.all().delete()
    row = world.push(app_json={"env": {"MORE": "y" * 10_000}})
    turning.turn()
    world.set(BIG=None)
    Delivery.objects.exclude(pk=row.pk).delete()
    from greenroom.deliveries.actions.retries import retry

    retry(actor=world.alice, delivery=world.read(row), home=world.home)
    assert world.run(row).state == "live"


@pytest.mark.parametrize("error", [UserError, AppError])
def test_a_step_that_is_refused_is_not_tried_again(world, turning, monkeypatch, error):
    def take(*_):
        raise error("PORT is reserved.", hint="listen on $PORT")

    row = world.push()
    monkeypatch.setattr(turning.steps, "take", take)
    turning.turn()
    row.refresh_from_db()
    assert (row.state, row.reason) == ("failed", "refused: PORT is reserved")
    assert " !     PORT is reserved.\n" in world.said(row)
    assert " !     hint: listen on $PORT\n" in world.said(row)


def test_a_release_that_is_on_its_way_ends_with_the_delivery(world, turning, monkeypatch):
    row = world.push()
    world.run(row, until="rolling_out")

    def take(*_):
        raise UserError("It cannot be.")

    monkeypatch.setattr(turning.steps, "take", take)
    turning.turn()
    release = Release.objects.get(pk=world.read(row).release_id)
    assert (release.status, release.reason) == ("failed", "refused: It cannot be.")


@pytest.mark.parametrize("error", [ConflictError, NotFoundError, PlatformError, RuntimeError])
def test_what_may_pass_is_tried_again(world, turning, monkeypatch, error):
    def take(*_):
        raise error("not now")

    row = world.push()
    monkeypatch.setattr(turning.steps, "take", take)
    turning.turn()
    row.refresh_from_db()
    assert row.finished_at is None
    assert set(turning.troubles) == {row.pk}
