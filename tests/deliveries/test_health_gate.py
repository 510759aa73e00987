"""The time limit of the health check starts with the first request to a dyno, not when the request became possible."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from greenroom.basics import clock
from greenroom.deliveries.loop import health_gate, health_requests
from greenroom.dynos.models import Dyno
from greenroom.router.drivers.health_gate import Answer

pytestmark = pytest.mark.django_db


@pytest.fixture
def gate(world, monkeypatch):
    """A gate with responses and a clock controlled by the test."""
    engine = SimpleNamespace(describe=lambda key: SimpleNamespace(listening=True), signal=lambda *_: None)
    it = health_gate.HealthGate(engine, world.home)
    it.asked, it.now = [], 1000.0
    monkeypatch.setattr(it.questions.pool, "submit", lambda *_, **__: it.asked.append(Future()) or it.asked[-1])
    monkeypatch.setattr(clock, "monotonic", lambda: it.now)
    return it


def test_a_dyno_that_waits_for_a_hand_has_its_whole_time_from_its_first_question_on(world, gate):
    release = world.run(world.push(), until="rolling_out").release
    for number in range(1, health_requests.PER_APP + 2):
        Dyno.objects.create(
            app=world.app,
            release=release,
            kind="web",
            type="web",
            ordinal=number,
            command="serve",
            engine_id=f"w{number}",
            endpoint=f"run/sockets/w{number}",
            state="starting",
        )
    gate.turn()
    assert len(gate.asked) == health_requests.PER_APP
    gate.now += 100
    for future in gate.asked:
        future.set_result(Answer(True, "GET / answered 200"))
    gate.turn()
    gate.turn()
    assert len(gate.asked) == health_requests.PER_APP + 1
    gate.asked[-1].set_result(Answer(False, "GET / answered 503"))
    gate.turn()
    assert sorted(Dyno.objects.values_list("state", flat=True)) == ["starting", "up", "up"]
