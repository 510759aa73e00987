"""Two delivery loops at once: one of them queries and acts, the other skips the app."""

from __future__ import annotations

import threading

import pytest

from greenroom.deliveries import loop
from greenroom.deliveries.drivers.app_lock import holding_lock
from greenroom.deliveries.models import Delivery
from greenroom.engine.memory import MemoryEngine
from tests.at_once import at_once


@pytest.mark.django_db(transaction=True)
def test_two_loops_at_once_take_each_step_once(home, shop, settings, monkeypatch):
    row = Delivery.objects.create(app=shop, sha="a" * 40, seq=1, kind="push")
    taken, inside, both = [], threading.Semaphore(1), threading.Barrier(2, timeout=60)

    def take(step, delivery, facts):
        assert inside.acquire(blocking=False), "two workers carry out a step of one app"
        taken.append(step.name)
        Delivery.objects.filter(pk=row.pk, state="received").update(state="building")
        inside.release()

    def work():
        it = loop.Loop(MemoryEngine(), home, settings.INSTALLATION)
        monkeypatch.setattr(it.steps, "take", take)
        monkeypatch.setattr(it, "_routes", lambda: None)
        stale = list(Delivery.objects.select_related("app").filter(pk=row.pk))
        both.wait()
        for _ in range(20):
            it._step(stale[0], [])

    assert at_once(work, 2) == []
    assert "BUILD" in taken


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_read_the_row_before_another_moved_it_acts_on_the_row_as_it_is(home, shop, settings, monkeypatch):
    Delivery.objects.create(app=shop, sha="a" * 40, seq=1, kind="push")
    stale = Delivery.objects.select_related("app").get()
    Delivery.objects.update(state="superseded", finished_at="2026-11-29T00:00:00Z")
    it = loop.Loop(MemoryEngine(), home, settings.INSTALLATION)
    monkeypatch.setattr(it.steps, "take", lambda *_: pytest.fail("it has ended"))
    it._step(stale, [])
    assert stale.state == "superseded"


@pytest.mark.django_db(transaction=True)
def test_the_lock_of_one_app_is_free_for_another_and_free_again_afterwards(shop):
    seen = []

    def other(name):
        def ask():
            with holding_lock(name) as held:
                seen.append(held)

        return at_once(ask, 1)

    with holding_lock("deliveries/a") as held:
        assert held
        assert other("deliveries/a") == []
        assert other("deliveries/b") == []
    assert other("deliveries/a") == []
    assert seen == [False, True, True]
