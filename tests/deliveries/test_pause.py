"""A pause of automatic deployment with an end: deliveries withheld only for the pause continue automatically, others do
not.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from greenroom.accounts import actions as accounts
from greenroom.accounts.models import Account, AuditEntry
from greenroom.apps.actions import change_settings
from greenroom.basics import clock
from greenroom.deliveries import actions
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.queries import required_checks
from greenroom.slugs.models import Slug

pytestmark = pytest.mark.django_db(transaction=True)
JSON = "application/json"


@pytest.fixture
def folder(home):
    (home / "logs" / "deliveries").mkdir(parents=True)
    return home


@pytest.fixture
def patch(alice, shop):
    account = Account.objects.get(pk=alice.account_id)
    token = accounts.create_token(actor=alice, account=account, scopes=("global",))[1]
    client = Client(headers={"Authorization": f"Bearer {token}"})
    return lambda body: client.patch(f"/apps/{shop.name}", body, JSON)


def withheld(app, seq, reason):
    return Delivery.objects.create(
        app=app, seq=seq, kind="push", sha=f"{seq:040x}", state="refused", reason=reason, finished_at=clock.now()
    )


def pause(actor, app, **past):
    change_settings(actor=actor, app=app, deploy_paused="demo", deploy_paused_until=clock.now() - timedelta(**past))


def test_the_newest_push_that_was_withheld_for_the_pause_goes_on_when_it_ends(alice, shop, folder):
    old, new = (withheld(shop, seq, f"{actions.PAUSED} until 2026-11-27 12:00 UTC: demo") for seq in (1, 2))
    pause(alice, shop, seconds=-60)
    assert actions.end_pauses(home=folder) == []
    pause(alice, shop, seconds=1)
    assert actions.end_pauses(home=folder) == [shop]
    for row in (shop, old, new):
        row.refresh_from_db()
    assert (shop.deploy_paused, shop.deploy_paused_until) == ("", None)
    assert (old.state, new.state) == ("refused", "received")
    assert actions.end_pauses(home=folder) == []
    assert AuditEntry.objects.filter(action="app.settings").exclude(actor=alice.email).count() == 1


def test_what_was_withheld_for_red_checks_stays_so(alice, shop, folder):
    row = withheld(shop, 1, "tests failed: 2 of 214")
    pause(alice, shop, seconds=1)
    actions.end_pauses(home=folder)
    row.refresh_from_db()
    assert row.state == "refused"


def test_a_pause_behind_a_newer_live_push_ends_without_a_word(alice, shop, folder):
    withheld(shop, 2, f"{actions.PAUSED}: demo")
    Delivery.objects.create(app=shop, seq=3, kind="push", sha="3" * 40, state="live", finished_at=clock.now())
    Delivery.objects.filter(seq=2).update(seq=4)
    Delivery.objects.create(app=shop, seq=5, kind="push", sha=f"{2:040x}", state="live", finished_at=clock.now())
    pause(alice, shop, seconds=1)
    assert actions.end_pauses(home=folder) == [shop]
    shop.refresh_from_db()
    assert shop.deploy_paused == ""


def test_a_pause_without_an_end_stays(alice, shop, folder):
    change_settings(actor=alice, app=shop, deploy_paused="rollback")
    assert actions.end_pauses(home=folder) == []


def test_over_the_api_a_pause_has_a_reason_and_an_end_to_come(patch, shop):
    end = clock.heroku_time(clock.now() + timedelta(hours=3))
    answer = patch({"deploy_paused": "demo", "deploy_paused_until": end})
    assert answer.status_code == 200, answer.content
    assert (answer.json()["deploy_paused"], answer.json()["deploy_paused_until"]) == ("demo", end)
    again = patch({"deploy_paused": "for ever"}).json()
    assert (again["deploy_paused"], again["deploy_paused_until"]) == ("for ever", None)
    patch({"deploy_paused": "demo", "deploy_paused_until": end})
    over = patch({"deploy_paused": ""}).json()
    assert (over["deploy_paused"], over["deploy_paused_until"]) == (None, None)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"deploy_paused": "demo", "deploy_paused_until": "tomorrow"}, "offset"),
        ({"deploy_paused": "demo", "deploy_paused_until": "2026-11-27T12:00:00"}, "offset"),
        ({"deploy_paused": "demo", "deploy_paused_until": "2020-01-01T00:00:00Z"}, "in the past"),
        ({"deploy_paused_until": "2126-01-01T00:00:00Z"}, "the reason"),
    ],
)
def test_an_end_that_is_none_is_refused_and_nothing_is_paused(patch, shop, body, said):
    answer = patch(body)
    assert answer.status_code == 422
    assert said in answer.json()["message"]
    shop.refresh_from_db()
    assert shop.deploy_paused == ""


def test_a_required_rehearsal_is_waited_for_before_the_switch_and_not_at_the_gate(patch, shop):
    assert patch({"required_checks": ["lint", "Rehearsal"]}).status_code == 200
    shop.refresh_from_db()
    assert shop.required_checks == ["lint", "Rehearsal"]
    delivery = Delivery(app=shop, sha="a" * 40, seq=1, kind="push")
    slug = Slug(settings={"required_checks": ["rehearsal"]})
    assert required_checks(delivery.app, slug) == ("tests", "scan", "lint")


def test_a_pause_that_somebody_makes_longer_at_its_end_goes_on(alice, shop, folder, monkeypatch):
    pause(alice, shop, seconds=1)
    end = actions._end_pause

    def later(due, app, home):
        change_settings(
            actor=alice, app=type(app).objects.get(pk=app.pk), deploy_paused_until=clock.now() + timedelta(hours=1)
        )
        return end(due, app, home)

    monkeypatch.setattr(actions, "_end_pause", later)
    assert actions.end_pauses(home=folder) == []
    shop.refresh_from_db()
    assert shop.deploy_paused == "demo"
