"""How often one may ask: per account, per address without a credential, and for wrong passwords much less often."""

from __future__ import annotations

import base64

import pytest
from django.test import Client

from greenroom.accounts import limits
from greenroom.accounts.rules import Rate, rate_of, refilled, wider
from greenroom.basics import clock
from tests.api.world import client_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def rates(settings, monkeypatch):
    """Small buckets, and a clock that the test moves."""
    settings.ACCOUNT_RATE, settings.ADDRESS_RATE, settings.PASSWORD_RATE = Rate(5, 60), Rate(3, 60), Rate(2, 6)
    now = {"at": 1000.0}
    monkeypatch.setattr(clock, "monotonic", lambda: now["at"])
    limits.forget()
    yield now
    limits.forget()


def sign_in(password, email="alice@example.com", address="10.0.0.1"):
    basic = base64.b64encode(f"{email}:{password}".encode()).decode()
    return Client(headers={"Authorization": f"Basic {basic}"}, REMOTE_ADDR=address).post("/oauth/authorizations", "{}", content_type="application/json")


def test_an_account_has_so_many_requests_and_new_ones_come_with_time(alice, bob, rates):
    client = client_of(alice)
    left = [client.get("/account").headers["RateLimit-Remaining"] for _ in range(5)]
    assert left == ["4", "3", "2", "1", "0"]
    refused = client.get("/account")
    assert (refused.status_code, refused.json()["id"]) == (429, "rate_limit")
    assert (refused["RateLimit-Remaining"], refused["Retry-After"]) == ("0", "1")
    assert client_of(alice).get("/account").status_code == 429  # another token of hers
    assert client_of(bob).get("/account").status_code == 200
    rates["at"] += 2
    assert [client.get("/account").status_code for _ in range(3)] == [200, 200, 429]


def test_the_rest_can_be_asked_for(alice):
    client = client_of(alice)
    client.get("/account")
    assert client.get("/account/rate-limits").json() == {"remaining": 3}


def test_an_address_without_a_credential_has_fewer_and_does_not_harm_who_has_one(alice):
    stranger = Client(headers={"Authorization": "Bearer grm_nothing"})
    assert [stranger.get("/apps").status_code for _ in range(4)] == [401, 401, 401, 429]
    assert Client().get("/schema").status_code == 429
    assert Client(REMOTE_ADDR="10.0.0.9").get("/schema").status_code == 200
    assert [Client().get("/health").status_code for _ in range(9)] == [200] * 9
    assert client_of(alice).get("/apps").status_code == 200


def test_wrong_passwords_are_slowed_down_by_address_and_by_account(alice, bob, rates, settings):
    settings.ADDRESS_RATE = None
    assert [sign_in("wrong").status_code for _ in range(2)] == [401, 401]
    refused = sign_in("correct horse")
    assert refused.status_code == 429
    assert refused["Retry-After"] == "10"
    assert sign_in("correct horse", address="10.0.0.2").status_code == 429
    assert sign_in("correct horse", email="bob@example.com").status_code == 429
    assert sign_in("correct horse", email="bob@example.com", address="10.0.0.2").status_code == 201
    assert client_of(alice).get("/account").status_code == 200
    rates["at"] += 20
    assert sign_in("correct horse").status_code == 201


def test_right_passwords_cost_nothing(alice):
    assert [sign_in("correct horse").status_code for _ in range(4)] == [201] * 4


def test_a_flood_of_addresses_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(limits, "FULL", 10)
    for number in range(100):
        limits.spend(None, f"10.0.1.{number}")
    assert len(limits._buckets) <= 10


def test_rates_are_written_as_two_numbers():
    assert rate_of("4500/75") == Rate(4500, 75)
    assert rate_of("off") is None
    for bad in ("", "many", "5", "5/0", "0/5", "-1/5", "5/5/5"):
        with pytest.raises(ValueError, match="is no rate"):
            rate_of(bad)
    assert refilled(4.0, 3600, Rate(5, 60)) == 5


@pytest.mark.parametrize(
    ("wanted", "own", "answer"),
    [
        (("read",), ("write",), False), (("identity",), ("read",), False), (("checks:write",), ("write",), False), (("write",), ("global",), False),
        (("write",), ("read",), True), (("global",), ("write-protected",), True), (("read-protected",), ("write",), True),
        (("read", "write"), ("write",), False), (("write-protected",), ("write", "read-protected"), True),
    ],
)  # fmt: skip
def test_a_token_is_wider_when_it_grants_more_whatever_its_name(wanted, own, answer):
    assert wider(wanted, own) is answer


def test_a_token_for_writing_makes_one_for_reading_and_no_wider_one(alice, settings):
    settings.ACCOUNT_RATE = None
    client = client_of(alice, "write")
    for scope, status in (("read", 201), ("identity", 201), ("write", 201), ("read-protected", 422), ("global", 422), ("no-such", 422)):
        answer = client.post("/oauth/authorizations", {"scope": [scope]}, content_type="application/json")
        assert answer.status_code == status, scope


@pytest.mark.parametrize("seconds", [0, -1, True, "soon", "-60", "9" * 10, 10**9, 2**62])
def test_a_time_that_no_token_can_hold_is_refused(alice, settings, seconds):
    settings.ACCOUNT_RATE = None
    answer = client_of(alice).post("/oauth/authorizations", {"expires_in": seconds}, content_type="application/json")
    assert (answer.status_code, answer.json()["id"]) == (422, "invalid_params")
