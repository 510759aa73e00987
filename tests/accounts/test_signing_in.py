"""Browser sign-in of the command, passwords and sessions: the rows and the page itself."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client

from greenroom.accounts import actions
from greenroom.accounts.actions import sign_ins
from greenroom.accounts.actions.authentication import by_token
from greenroom.accounts.models import Account, SignIn, Token
from greenroom.basics import clock
from greenroom.basics.errors import GreenroomError

pytestmark = pytest.mark.django_db


def begun():
    row, page, command = sign_ins.begin(description="Heroku CLI login from laptop", address="10.1.2.3")
    return row, f"/auth/browser/{page}", lambda: sign_ins.collect(id=str(row.id), secret=command)


def submit(client, url, **fields):
    page = client.get(url).content.decode()
    fields["csrfmiddlewaretoken"] = re.search(r'csrfmiddlewaretoken" value="(\w+)"', page)[1]
    return client.post(url, fields)


def test_the_person_says_yes_with_a_password_and_the_command_gets_a_token_once(bob):
    _, url, collect = begun()
    assert collect() is None
    client = Client(enforce_csrf_checks=True)
    shown = client.get(url)
    assert "Heroku CLI login from laptop" in shown.content.decode()
    assert "10.1.2.3" in shown.content.decode()
    assert "frame-ancestors 'none'" in shown["Content-Security-Policy"]
    answer = submit(client, url, email="bob@example.com", password="correct horse")
    assert "is signed in as bob@example.com" in answer.content.decode()
    token = collect()
    assert by_token(token).email == "bob@example.com"
    assert Token.objects.get().session
    assert token not in str(SignIn.objects.values())
    with pytest.raises(GreenroomError):
        collect()
    assert client.get(url).status_code == 404


def test_a_token_of_scope_global_does_as_well_and_a_narrow_one_does_not(bob):
    account = Account.objects.get(email="bob@example.com")
    narrow = actions.create_token(actor=bob, account=account, scopes=("read",))[1]
    wide = actions.create_token(actor=bob, account=account)[1]
    _, url, collect = begun()
    client = Client(enforce_csrf_checks=True)
    assert "Only a token of scope global" in submit(client, url, email="", password=narrow).content.decode()
    assert submit(client, url, email="eve@example.com", password=wide).status_code == 403
    assert collect() is None
    submit(client, url, email="", password=wide)
    assert by_token(collect()).email == "bob@example.com"


def test_wrong_passwords_end_the_sign_in(bob):
    _, url, collect = begun()
    client = Client(enforce_csrf_checks=True)
    for _ in range(sign_ins.ATTEMPTS):
        assert submit(client, url, email="bob@example.com", password="wrong").status_code == 403
    assert client.get(url).status_code == 404
    with pytest.raises(GreenroomError, match="rejected"):
        collect()


def test_a_refusal_an_expiry_and_a_foreign_secret_give_nothing(bob, monkeypatch):
    row, url, collect = begun()
    with pytest.raises(GreenroomError):
        sign_ins.collect(id=str(row.id), secret="guessed")
    submit(Client(enforce_csrf_checks=True), url, refuse="")
    with pytest.raises(GreenroomError, match="rejected"):
        collect()
    _, url, collect = begun()
    now = clock.now() + timedelta(minutes=11)
    monkeypatch.setattr(clock, "now", lambda: now)
    assert Client().get(url).status_code == 404
    with pytest.raises(GreenroomError, match="expired"):
        collect()


def test_the_page_takes_no_form_from_elsewhere(bob):
    _, url, collect = begun()
    assert (
        Client(enforce_csrf_checks=True)
        .post(url, {"email": "bob@example.com", "password": "correct horse"})
        .status_code
        == 403
    )
    assert collect() is None


def api(token):
    return Client(headers={"Authorization": f"Bearer {token}"})


def test_sessions_are_listed_and_ended(bob):
    _, url, collect = begun()
    submit(Client(enforce_csrf_checks=True), url, email="bob@example.com", password="correct horse")
    token = collect()
    other = actions.create_token(actor=bob, account=Account.objects.get(email="bob@example.com"))[1]
    (row,) = api(other).get("/oauth/sessions").json()
    assert row["description"] == "Heroku CLI login from laptop"
    assert api(other).delete("/oauth/sessions/~").json()["resource"] == "session"
    assert api(token).delete("/oauth/sessions/~").status_code == 200
    assert api(token).get("/account").status_code == 401
    assert api(other).get("/oauth/sessions").json() == []


def test_a_password_is_set_with_a_token_and_changed_with_the_old_one(bob):
    account = actions.create_account(actor=bob, email="new@example.com")
    token = actions.create_token(actor=bob, account=account)[1]

    def put(**body):
        return api(token).put("/account/password", body, content_type="application/json")

    assert "12 to 500" in put(new_password="short").json()["message"]
    assert put(new_password="a long enough one").status_code == 200
    assert put(new_password="another long one", password="wrong").status_code == 422
    assert put(new_password="another long one", password="a long enough one").status_code == 200
    account.refresh_from_db()
    assert account.check_password("another long one")


def test_who_guesses_at_the_page_spends_the_requests_of_their_address(bob, settings):
    from greenroom.accounts.actions import rate_limits
    from greenroom.accounts.rules import Rate

    settings.ADDRESS_RATE = Rate(3, 1)
    rate_limits.forget()
    try:
        answers = [
            Client().post("/auth/browser/guess", {"password": "grm_guess"}, REMOTE_ADDR="10.0.0.7") for _ in range(5)
        ]
        assert [answer.status_code for answer in answers][-1] == 429
        assert int(answers[-1]["Retry-After"]) > 0
        assert Client().get("/auth/browser/guess", REMOTE_ADDR="10.0.0.8").status_code == 404
    finally:
        rate_limits.forget()


def test_a_crowd_of_sign_ins_that_nobody_finishes_keeps_nobody_out(bob, monkeypatch):
    monkeypatch.setattr(sign_ins, "EACH", 5)
    monkeypatch.setattr(sign_ins, "OPEN", 12)
    mine = begun()
    for number in range(30):
        sign_ins.begin(description="a flood", address=f"10.0.0.{number % 3}")
    assert SignIn.objects.count() <= 12
    row, url, collect = begun()
    assert submit(Client(), url, email="bob@example.com", password="correct horse").status_code == 200
    assert collect()
    assert SignIn.objects.filter(pk=mine[0].pk).exists()
    assert SignIn.objects.filter(address="10.0.0.1").count() <= 5
    assert row.address == "10.1.2.3"


def test_the_addresses_of_one_ipv6_network_count_as_one(monkeypatch):
    monkeypatch.setattr(sign_ins, "EACH", 5)
    mine, _, _ = begun()
    for number in range(20):
        row, *_ = sign_ins.begin(description="a flood", address=f"2001:db8:1:2::{number:x}")
    assert SignIn.objects.filter(address__startswith="2001:db8:").count() == 5
    assert SignIn.objects.filter(pk__in=[mine.pk, row.pk]).count() == 2, (
        "the newest of the network, and whoever is elsewhere"
    )
