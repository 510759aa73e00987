"""Other users' accounts, tokens and invitations over the API."""

from __future__ import annotations

import pytest
from django.test import Client

from greenroom.accounts.actions import create_token
from greenroom.accounts.models import Account
from tests.api.world import client_of, person

pytestmark = pytest.mark.django_db
JSON = "application/json"


@pytest.fixture
def ada(db):
    return person("ada@example.com", admin=True)


def test_an_administrator_disables_and_enables_an_account(ada, bob):
    client, other = client_of(ada), client_of(bob)
    answer = client.post("/accounts/bob@example.com/actions/disable", content_type=JSON)
    assert (answer.status_code, answer.json()["email"]) == (200, "bob@example.com")
    assert answer.json()["suspended_at"]
    assert other.get("/account").status_code == 401
    assert [row["email"] for row in client.get("/accounts").json() if row["suspended_at"]] == ["bob@example.com"]
    assert client.post("/accounts/bob@example.com/actions/enable", content_type=JSON).json()["suspended_at"] is None
    assert other.get("/account").status_code == 401
    assert client.post("/accounts/nobody@example.com/actions/disable", content_type=JSON).status_code == 404


def test_the_last_administrator_gets_a_conflict_with_a_remedy(ada):
    Account.objects.filter(is_admin=True).exclude(pk=ada.account_id).update(is_active=False)
    client = client_of(ada)
    for method, path in (("POST", "/actions/disable"), ("POST", "/actions/demote"), ("DELETE", "")):
        answer = client.generic(method, f"/accounts/ada@example.com{path}")
        assert (answer.status_code, answer.json()["id"]) == (409, "conflict")
        assert answer.json()["hint"].endswith("greenroom accounts:promote EMAIL")


def test_an_administrator_lists_and_revokes_the_tokens_and_sessions_of_others(ada, bob):
    row = Account.objects.get(pk=bob.account_id)
    session, plain = create_token(actor=bob, account=row, description="heroku login", session=True)
    _, kept = create_token(actor=bob, account=row, description="laptop")
    client, place = client_of(ada), "/accounts/bob@example.com/tokens"
    shown = client.get(place).json()
    assert {(it["description"], it["session"]) for it in shown} == {("heroku login", True), ("laptop", False)}
    assert plain not in str(shown)
    assert client.delete(f"{place}/{session.id}").json()["id"] == str(session.id)
    assert client.delete(f"{place}/{session.id}").status_code == 404
    assert Client(headers={"Authorization": f"Bearer {plain}"}).get("/account").status_code == 401
    assert client.delete(place).json() == {"revoked": 1}
    assert Client(headers={"Authorization": f"Bearer {kept}"}).get("/account").status_code == 401
    assert client.get(place).json() == []


def test_an_invitation_is_a_link_that_is_shown_once(ada, shop):
    client = client_of(ada)
    body = {"email": "dora@example.com", "app": "shop", "role": "viewer", "days": 3}
    made = client.post("/invitations", body, content_type=JSON)
    assert made.status_code == 201
    assert "/invitations/accept/" in made.json()["url"]
    (row,) = client.get("/invitations").json()
    assert (row["email"], row["app"]["name"], row["role"]) == ("dora@example.com", "shop", "viewer")
    assert "url" not in row
    page = "/" + made.json()["url"].partition("//")[2].partition("/")[2]
    assert Client().get(page).status_code == 200
    assert client.delete(f"/invitations/{row['id']}").status_code == 200
    assert Client().get(page).status_code == 404
    assert client.delete(f"/invitations/{row['id']}").status_code == 404


@pytest.mark.parametrize("wrong", [{"days": 31}, {"days": "7"}, {"role": "viewer"}, {"email": "dora"}, {"app": "none"}])
def test_a_wrong_invitation_is_refused(ada, wrong):
    answer = client_of(ada).post("/invitations", {"email": "dora@example.com", **wrong}, content_type=JSON)
    assert answer.status_code in (404, 422)


def test_a_user_and_a_narrow_token_change_nobody(ada, bob):
    for client in (client_of(bob), client_of(ada, "write")):
        for act in ("disable", "enable", "promote", "demote"):
            assert client.post(f"/accounts/bob@example.com/actions/{act}", content_type=JSON).status_code == 403
        assert client.delete("/accounts/bob@example.com").status_code == 403
        assert client.post("/invitations", {"email": "x@example.com"}, content_type=JSON).status_code == 403
