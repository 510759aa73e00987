"""Restarting web dynos by their type never takes the app down."""

from __future__ import annotations

import pytest

from greenroom.accounts.models import AuditEntry
from greenroom.basics.errors import NotFoundError
from greenroom.config_vars.actions import write
from greenroom.dynos import actions
from greenroom.dynos.models import Dyno, Rollout
from greenroom.releases.actions import release
from tests.api.world import client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def live(alice, shop, home):
    config = write(app=shop, home=home, values={}, actor=alice)
    row = release(actor=alice, app=shop, kind="config", description="x", slug=None, config=config)
    for kind, number in (("web", 1), ("web", 2), ("worker", 1)):
        Dyno.objects.create(
            app=shop,
            release=row,
            kind=kind,
            type=kind,
            ordinal=number,
            command="x",
            size="standard-1x",
            state="up",
            engine_id=f"x-{kind}-{number}",
        )
    return Rollout.objects.create(app=shop, release=row, state="live")


def states(app):
    return {dyno.name: dyno.state for dyno in Dyno.objects.filter(app=app)}


@pytest.mark.parametrize("name", ["", "web"])
def test_all_and_the_type_web_are_replaced_while_the_old_ones_serve(alice, shop, live, name):
    before = live.restart_seq
    actions.restart(actor=alice, app=shop, name=name)
    live.refresh_from_db()
    assert live.restart_seq > before
    assert set(states(shop).values()) == {"up"}


def test_one_web_dyno_serves_until_its_successor_does(alice, shop, live):
    actions.restart(actor=alice, app=shop, name="web.2")
    assert [dyno.name for dyno in Dyno.objects.filter(app=shop, leaving=True)] == ["web.2"]
    assert set(states(shop).values()) == {"up"}


def test_another_type_is_ended_and_started_anew(alice, shop, live):
    actions.restart(actor=alice, app=shop, name="worker")
    assert [dyno for dyno, state in states(shop).items() if state == "stopping"] == ["worker.1"]


@pytest.mark.parametrize(
    ("path", "word"),
    [("dynos/web.2", "stop"), ("formations/worker", "stop"), ("dynos/web.2", ""), ("formations/worker", "")],
)
def test_the_audit_log_tells_a_stop_from_a_restart(alice, shop, live, path, word):
    client = client_of(alice)
    answer = (
        client.post(f"/apps/shop/{path}/actions/stop", content_type="application/json")
        if word
        else client.delete(f"/apps/shop/{path}")
    )
    assert answer.status_code == 202
    row = AuditEntry.objects.filter(action__startswith="dynos.").latest("pk")
    assert (row.action, row.detail) == (f"dynos.{word or 'restart'}", {"name": path.split("/")[1]})
    assert "stopping" in states(shop).values() or Dyno.objects.filter(app=shop, leaving=True).exists()


def test_an_unknown_one_is_not_found(alice, shop, live):
    with pytest.raises(NotFoundError):
        actions.restart(actor=alice, app=shop, name="clock")


def test_another_size_makes_dynos_run_anew_and_another_quantity_does_not(alice, shop, live, home):
    def scale(*updates):
        actions.scale(
            actor=alice, app=shop, home=home, updates=list(updates), process_types={"web": "x", "worker": "x"}
        )
        live.refresh_from_db()
        return live.restart_seq, sorted(name for name, state in states(shop).items() if state == "stopping")

    before = live.restart_seq
    assert scale({"type": "web", "quantity": 3}, {"type": "worker", "quantity": 1, "size": "Standard-1X"}) == (
        before,
        [],
    )
    assert scale({"type": "worker", "size": "standard-2x"}) == (before, ["worker.1"])
    after, stopping = scale({"type": "web", "size": "standard-2x"})
    assert after > before, "beside the present ones, which serve meanwhile"
    assert stopping == ["worker.1"]
    assert scale({"type": "web", "size": "standard-2x", "quantity": 2}) == (after, ["worker.1"])
