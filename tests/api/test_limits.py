"""Rate limits: per account, per address without credentials, and a much lower one for wrong passwords."""

from __future__ import annotations

import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest
from django.db import connection
from django.test import Client

from greenroom.accounts.actions import authentication, rate_limits, token_buckets
from greenroom.accounts.rules import Rate, rate_of, refilled, wider
from greenroom.basics import clock
from greenroom.basics.waiting_limits import neighbours
from tests.api.world import client_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def rates(settings, monkeypatch):
    """Small buckets, and a clock that the test moves."""
    settings.ACCOUNT_RATE, settings.ADDRESS_RATE, settings.PASSWORD_RATE = Rate(5, 60), Rate(3, 60), Rate(2, 6)
    now = {"at": 1000.0}
    monkeypatch.setattr(clock, "monotonic", lambda: now["at"])
    rate_limits.forget()
    yield now
    rate_limits.forget()


def sign_in(password, email="alice@example.com", address="10.0.0.1"):
    basic = base64.b64encode(f"{email}:{password}".encode()).decode()
    return Client(headers={"Authorization": f"Basic {basic}"}, REMOTE_ADDR=address).post(
        "/oauth/authorizations", "{}", content_type="application/json"
    )


def test_an_account_has_so_many_requests_and_new_ones_come_with_time(alice, bob, rates):
    client = client_of(alice)
    left = [client.get("/account").headers["RateLimit-Remaining"] for _ in range(5)]
    assert left == ["4", "3", "2", "1", "0"]
    refused = client.get("/account")
    assert (refused.status_code, refused.json()["id"]) == (429, "rate_limit")
    assert (refused["RateLimit-Remaining"], refused["Retry-After"]) == ("0", "1")
    assert client_of(alice).get("/account").status_code == 429  # another token of the same account
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


@pytest.fixture
def slept(monkeypatch, rates):
    """The seconds that sign-ins waited. Each wait moves the clock."""
    found = []

    def sleep(seconds):
        found.append(seconds)
        rates["at"] += seconds

    monkeypatch.setattr(rate_limits, "sleep", sleep)
    return found


def test_wrong_passwords_are_slowed_down_where_they_come_from_and_nowhere_else(alice, bob, rates, settings, slept):
    settings.ADDRESS_RATE = None
    assert [sign_in("wrong").status_code for _ in range(2)] == [401, 401]
    refused = sign_in("correct horse")
    assert refused.status_code == 429
    assert refused["Retry-After"] == "10"
    assert sign_in("correct horse", address="10.0.0.2").status_code == 201
    assert sign_in("correct horse", email="bob@example.com").status_code == 201
    assert client_of(alice).get("/account").status_code == 200
    rates["at"] += 10
    assert sign_in("correct horse").status_code == 201
    assert slept == []


def test_ten_wrong_passwords_do_not_lock_the_right_one_out(alice, rates, settings, slept):
    settings.ADDRESS_RATE, settings.PASSWORD_RATE = None, Rate(10, 10)
    assert [sign_in("wrong").status_code for _ in range(10)] == [401] * 10
    assert sign_in("correct horse").status_code == 201
    assert slept == [pytest.approx(6.0)]


def test_parallel_guesses_are_counted_before_they_are_hashed(rates, settings, monkeypatch):
    settings.PASSWORD_RATE = Rate(2, 6)
    hashed = []

    def hash_while_another_guess_comes(password):
        hashed.append(password)
        if len(hashed) < 4:
            authentication.by_password("nobody@example.com", f"guess {len(hashed)}", address="10.0.0.1")

    monkeypatch.setattr(authentication, "make_password", hash_while_another_guess_comes)
    with pytest.raises(rate_limits.RateLimitError):
        authentication.by_password("nobody@example.com", "guess 0", address="10.0.0.1")
    assert hashed == ["guess 0", "guess 1"]


def test_no_more_than_four_passwords_are_hashed_at_once(settings):
    settings.PASSWORD_RATE = None
    inside, most, lock = [], [], threading.Lock()

    def check(number):
        with rate_limits.attempt("alice@example.com", f"10.0.0.{number}"):
            with lock:
                inside.append(number)
                most.append(len(inside))
            sleep(0.02)
            with lock:
                inside.remove(number)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(check, range(20)))
    assert max(most) == rate_limits.HASHES


def test_who_finds_all_places_for_hashing_taken_is_told_to_come_back(alice, monkeypatch, settings):
    settings.PASSWORD_RATE = Rate(1, 6)
    monkeypatch.setattr(rate_limits, "_hashing", threading.BoundedSemaphore(1))
    monkeypatch.setattr(rate_limits, "HASH_PATIENCE", 0.01)
    with rate_limits.attempt("bob@example.com", "10.0.0.2"):
        refused = sign_in("correct horse")
    assert (refused.status_code, refused["Retry-After"]) == (429, "5")
    assert sign_in("correct horse").status_code == 201, "the attempt that was not made has cost nothing"


@pytest.mark.django_db(transaction=True)
def test_a_sign_in_that_waits_holds_no_database_connection(settings, rates, monkeypatch):
    settings.PASSWORD_RATE = Rate(1, 10)
    assert authentication.by_password("nobody@example.com", "wrong", address="10.0.0.1") is None
    held = []

    def wait(seconds):
        held.append(connection.connection)
        rates["at"] += seconds

    monkeypatch.setattr(rate_limits, "sleep", wait)
    connection.ensure_connection()
    assert authentication.by_password("nobody@example.com", "wrong", address="10.0.0.1") is None
    assert held == [None]


def test_guesses_stay_bounded_while_they_go_on(alice, rates, settings, slept):
    settings.ADDRESS_RATE, settings.PASSWORD_RATE = None, Rate(10, 10)
    began = rates["at"]
    tried = [sign_in(f"guess {number}").status_code for number in range(40)]
    assert set(tried) == {401}
    assert rates["at"] - began >= 29 * 6


def test_no_more_than_a_few_wait_at_once(alice, settings, slept, monkeypatch):
    settings.ADDRESS_RATE, settings.PASSWORD_RATE = None, Rate(1, 10)
    sign_in("wrong")
    monkeypatch.setattr(rate_limits, "MOST_WAITING", 0)
    assert sign_in("correct horse").status_code == 429
    assert slept == []


def test_guesses_from_many_addresses_lock_out_nobody_who_has_been_there(alice, settings, slept):
    settings.ADDRESS_RATE, settings.PASSWORD_RATE = None, Rate(2, 6)
    assert sign_in("correct horse", address="10.9.9.9").status_code == 201
    assert {sign_in("wrong", address=f"10.1.0.{number}").status_code for number in range(20)} == {401}
    assert sign_in("correct horse", address="10.1.1.1").status_code == 429
    assert sign_in("correct horse", address="10.9.9.9").status_code == 201


def test_the_addresses_of_one_customer_count_as_one():
    assert neighbours("2001:db8:1:2:aaaa::1") == neighbours("2001:db8:1:2:bbbb::9") != neighbours("2001:db8:1:3::1")
    assert neighbours("::ffff:10.0.0.1") == neighbours("10.0.0.1") == "10.0.0.1"
    assert neighbours("") == ""


def test_right_passwords_cost_nothing(alice):
    assert [sign_in("correct horse").status_code for _ in range(4)] == [201] * 4


def test_a_flood_of_addresses_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(token_buckets, "MOST", 10)
    for number in range(100):
        rate_limits.spend(None, f"10.0.1.{number}")
    assert len(rate_limits._requests) <= 10


def test_a_flood_of_addresses_makes_no_wrong_password_forgotten(alice, monkeypatch):
    monkeypatch.setattr(token_buckets, "MOST", 10)
    assert [sign_in("wrong").status_code for _ in range(2)] == [401, 401]
    for number in range(100):
        rate_limits.spend(None, f"10.0.1.{number}")
    assert sign_in("correct horse").status_code == 429


def test_full_buckets_are_dropped_before_those_in_use(rates, monkeypatch):
    monkeypatch.setattr(token_buckets, "MOST", 3)
    kept, slow, quick = token_buckets.Buckets(), Rate(10, 1), Rate(10, 60)
    kept.at("guessed", slow).tokens -= 5
    for number in range(2):
        kept.at(f"asked {number}", quick).tokens -= 1
    rates["at"] += 2
    kept.at("new", quick).tokens -= 1
    assert (len(kept), kept.at("guessed", slow).tokens < 6) == (2, True)
    for number in range(9):
        kept.at(f"more {number}", quick).tokens -= 1
    assert len(kept) == 3
    assert kept.at("guessed", slow).tokens == 10, "the oldest goes when all are in use"


def test_rates_are_written_as_two_numbers():
    assert rate_of("4500/75") == Rate(4500, 75)
    assert rate_of("off") is None
    for bad in ("", "many", "5", "5/0", "0/5", "-1/5", "5/5/5"):
        with pytest.raises(ValueError, match="is not a valid rate"):
            rate_of(bad)
    assert refilled(4.0, 3600, Rate(5, 60)) == 5


@pytest.mark.parametrize(
    ("wanted", "own", "answer"),
    [
        (("read",), ("write",), False),
        (("identity",), ("read",), False),
        (("checks:write",), ("write",), False),
        (("write",), ("global",), False),
        (("write",), ("read",), True),
        (("global",), ("write-protected",), True),
        (("read-protected",), ("write",), True),
        (("read", "write"), ("write",), False),
        (("write-protected",), ("write", "read-protected"), True),
    ],
)
def test_a_token_is_wider_when_it_grants_more_whatever_its_name(wanted, own, answer):
    assert wider(wanted, own) is answer


def test_a_token_for_writing_makes_one_for_reading_and_no_wider_one(alice, settings):
    settings.ACCOUNT_RATE = None
    client = client_of(alice, "write")
    for scope, status in (
        ("read", 201),
        ("identity", 201),
        ("write", 201),
        ("read-protected", 422),
        ("global", 422),
        ("no-such", 422),
    ):
        answer = client.post("/oauth/authorizations", {"scope": [scope]}, content_type="application/json")
        assert answer.status_code == status, scope


@pytest.mark.parametrize("seconds", [0, -1, True, "soon", "-60", "9" * 10, 10**9, 2**62])
def test_a_time_that_no_token_can_hold_is_refused(alice, settings, seconds):
    settings.ACCOUNT_RATE = None
    answer = client_of(alice).post("/oauth/authorizations", {"expires_in": seconds}, content_type="application/json")
    assert (answer.status_code, answer.json()["id"]) == (422, "invalid_params")
