"""The API of an app's egress: policy, targets, releases, and who may change them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import get_resolver

from greenroom.basics import clock
from greenroom.config_vars import actions as config_vars
from greenroom.dynos.models import Dyno, Rollout
from greenroom.releases.models import Release
from tests.api.test_data import client_of, send

pytestmark = pytest.mark.django_db
PATH = "/apps/shop/egress"


@pytest.fixture(autouse=True)
def same_home(monkeypatch, home, shop, alice):
    get_resolver().url_patterns  # noqa: B018 - loads the URLconf
    monkeypatch.setattr("greenroom.entrypoints.api.views_egress.HOME", home)
    config_vars.write(app=shop, home=home, values={}, actor=alice)


def change(actor, **body):
    return send(client_of(actor), "PATCH", PATH, body)


def test_an_app_is_open_and_has_no_rules(vera):
    row = client_of(vera).get(PATH).json()
    assert (row["policy"], row["rules"], row["former_dynos"], row["changed_at"]) == ("open", [], 0, None)


def test_closing_and_allowing_are_releases_with_their_descriptions(alice):
    answer = change(alice, policy="closed", allow=["API.Example.org:443", "10.2.0.0/16"])
    assert answer.status_code == 200, answer.content
    assert answer.json()["rules"] == [
        {"target": "10.2.0.0/16", "host": "10.2.0.0/16", "port": None},
        {"target": "api.example.org:443", "host": "api.example.org", "port": 443},
    ]
    release = Release.objects.latest("version")
    assert answer["X-Greenroom-Release"] == f"v{release.version}"
    assert release.description == "Close egress; Allow egress to api.example.org:443, 10.2.0.0/16"
    assert "X-Greenroom-Release" not in change(alice, policy="closed", allow=["api.example.org:443"]), "as it was"
    assert change(alice, remove=["api.example.org:443"])["X-Greenroom-Release"] == f"v{release.version + 1}"


def test_rules_of_an_open_app_are_kept_without_a_release(alice):
    answer = change(alice, allow=["api.example.org"])
    assert [row["target"] for row in answer.json()["rules"]] == ["api.example.org"]
    assert not Release.objects.exists()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"policy": "shut"}, "does not exist"),
        ({"policy": 1}, "open or closed"),
        ({"allow": "api.example.org"}, "must be a list of targets"),
        ({"allow": [443]}, "must be a list of targets"),
        ({"allow": ["api.example.org:0"]}, "from 1 to 65535"),
        ({"allow": ["localhost:6379"]}, "never reach"),
        ({"allow": ["10.2.3.4/16"]}, "the network of this address is 10.2.0.0/16"),
        ({"allow": [f"h{n}.example.org" for n in range(101)]}, "101 egress rules; 100 are allowed"),
        ({"allow": ["a.org"] * 1000}, "at most 200 targets"),
        ({"remove": ["api.example.org"]}, "is not among the rules"),
    ],
)
def test_a_wrong_move_says_what_is_wrong_and_changes_nothing(alice, body, why):
    answer = change(alice, **{"policy": "closed", **body})
    assert answer.status_code in (400, 422)
    assert why in answer.json()["message"]
    row = client_of(alice).get(PATH).json()
    assert (row["policy"], row["rules"]) == ("open", [])
    assert not Release.objects.exists()


def test_a_developer_may_look_and_not_change_and_a_stranger_sees_nothing(bob, charlie):
    assert client_of(bob).get(PATH).status_code == 200
    assert change(bob, policy="closed").status_code == 403
    assert client_of(charlie).get(PATH).status_code == 404


def test_running_dynos_from_before_a_change_are_counted_unless_a_release_is_about_to_replace_them(alice, shop):
    change(alice, policy="closed")
    release = Release.objects.latest("version")
    now = clock.now()
    for name, state, minutes in (
        ("web", "up", -5),
        ("web", "ended", -5),
        ("web", "up", 5),
        ("web", "stopping", -5),
        ("run", "up", -5),
    ):
        facts = {"kind": name, "type": name, "ordinal": 1, "command": "x", "state": state}
        facts["engine_id"] = f"{name}{state}{minutes}"
        row = Dyno.objects.create(app=shop, release=release, **facts)
        Dyno.objects.filter(pk=row.pk).update(created_at=now + timedelta(minutes=minutes))
    rollout = Rollout.objects.create(app=shop, release=release, state="live")
    assert client_of(alice).get(PATH).json()["former_dynos"] == 2
    rollout.state = "retired"
    rollout.save()
    assert client_of(alice).get(PATH).json()["former_dynos"] == 1, "the one-off dyno stays"
    rollout.state = "live"
    rollout.save()
    newer = Release.objects.create(app=shop, version=99, kind="config", config=release.config, description="x")
    Rollout.objects.create(app=shop, release=newer, state="watched")
    assert client_of(alice).get(PATH).json()["former_dynos"] == 1, "the one-off dyno stays"
