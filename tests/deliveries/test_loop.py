"""The delivery loop: an error in one delivery does not block others and is not retried for ever."""

from __future__ import annotations

import pytest

from greenroom.basics import clock
from greenroom.deliveries import loop
from greenroom.deliveries.drivers import transcript
from greenroom.deliveries.models import Delivery
from greenroom.engine.memory import MemoryEngine

pytestmark = pytest.mark.django_db


@pytest.fixture
def turning(home, shop, cafe, monkeypatch, settings):
    """A loop whose step for ``shop`` always fails, with the deliveries of both apps and a clock set by the test."""
    first = Delivery.objects.create(app=shop, sha="a" * 40, seq=1, kind="push")
    second = Delivery.objects.create(app=cafe, sha="b" * 40, seq=1, kind="push")
    it = loop.Loop(MemoryEngine(), home, settings.INSTALLATION)
    it.tried = []
    it.now = 1000.0

    def take(step, delivery, facts):
        it.tried.append((step.name, delivery.app.name))
        if delivery.pk == first.pk:
            raise RuntimeError("a bug of ours\nwith a second line")

    monkeypatch.setattr(it.steps, "take", take)
    monkeypatch.setattr(it, "_routes", lambda: None)
    monkeypatch.setattr(clock, "monotonic", lambda: it.now)
    return it, first, second


def test_a_bug_that_one_delivery_meets_does_not_stop_another(turning):
    it, first, second = turning
    it.turn()
    assert {name for _, name in it.tried} == {first.app.name, second.app.name}


def test_a_failed_step_is_tried_again_a_second_later_and_not_before(turning):
    it, first, _ = turning
    it.turn()
    it.turn()
    assert [name for _, name in it.tried].count(first.app.name) == 1
    it.now += loop.AGAIN
    it.turn()
    assert [name for _, name in it.tried].count(first.app.name) == 2


def test_a_delivery_that_the_platform_cannot_carry_ends_and_says_so(turning, home):
    it, first, _ = turning
    it.turn()
    it.now += loop.GIVE_UP
    it.turn()
    first.refresh_from_db()
    assert first.state == "failed"
    assert first.reason == "platform error: RuntimeError: a bug of ours"
    assert "an error of Greenroom, not of this commit" in (home / first.transcript).read_text()


def full(*_):
    raise OSError(28, "No space left on device")


def test_a_full_disk_ends_the_delivery_by_its_row_and_the_routes_of_all_apps_go_on(turning, monkeypatch):
    it, first, _ = turning
    routed = []
    monkeypatch.setattr(it, "_routes", lambda: routed.append(it.now))
    it.turn()
    it.now += loop.GIVE_UP
    monkeypatch.setattr(transcript, "append", full)
    monkeypatch.setattr(transcript, "close", full)
    it.turn()
    first.refresh_from_db()
    assert (first.state, first.reason) == ("failed", "platform error: RuntimeError: a bug of ours")
    assert routed == [1000.0, it.now]


def test_a_delivery_that_cannot_even_be_broken_off_stops_no_other_and_no_route(turning, monkeypatch):
    it, _, second = turning
    routed = []
    monkeypatch.setattr(it, "_routes", lambda: routed.append(it.now))
    monkeypatch.setattr(it.steps, "break_off", full)
    it.turn()
    it.now += loop.GIVE_UP
    assert it.turn()
    assert [name for _, name in it.tried].count(second.app.name) == 2
    assert routed == [1000.0, it.now]
