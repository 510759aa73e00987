"""Tokens over the API: described anew, exchanged for a new text, and never widened by that."""

from __future__ import annotations

import pytest
from django.test import Client

from greenroom.accounts import actions
from greenroom.accounts.models import Account, AuditEntry, Token

pytestmark = pytest.mark.django_db
JSON = "application/json"


def made(actor, *scopes, description=""):
    account = Account.objects.get(pk=actor.account_id)
    return actions.create_token(actor=actor, account=account, scopes=scopes or ("global",), description=description)


def client_with(plain):
    return Client(headers={"Authorization": f"Bearer {plain}"})


def test_a_rotated_token_has_a_new_text_and_the_old_one_ends(alice):
    mine, (robot, old) = client_with(made(alice)[1]), made(alice, "read", description="robot")
    said = mine.post(f"/oauth/authorizations/{robot.id}/actions/regenerate-tokens", {}, JSON).json()
    new = said["access_token"]["token"]
    assert new != old
    assert (said["id"], said["description"], said["scope"]) == (str(robot.id), "robot", ["read"])
    assert client_with(old).get("/apps").status_code == 401
    assert client_with(new).get("/apps").status_code == 200
    assert AuditEntry.objects.filter(action="token.rotate", detail__token=str(robot.id)).count() == 1


def test_a_token_may_exchange_itself(alice):
    token, old = made(alice)
    new = client_with(old).post("/oauth/authorizations/~/actions/regenerate-tokens", {}, JSON).json()["access_token"]["token"]
    assert client_with(old).get("/account").status_code == 401
    assert client_with(new).get("/oauth/authorizations/~").json()["id"] == str(token.id)


def test_a_narrow_token_gets_no_wide_one_by_exchanging_it(alice):
    wide, plain = made(alice)
    digest = wide.digest
    answer = client_with(made(alice, "write")[1]).post(f"/oauth/authorizations/{wide.id}/actions/regenerate-tokens", {}, JSON)
    assert answer.status_code == 422
    assert answer.json()["message"].startswith("A token cannot make a wider one.")
    assert Token.objects.get(pk=wide.id).digest == digest
    assert client_with(plain).get("/account").status_code == 200


def test_a_description_is_changed_and_nothing_else(alice):
    mine, (robot, plain) = client_with(made(alice)[1]), made(alice, "read", description="robot")
    said = mine.patch(f"/oauth/authorizations/{robot.id}", {"description": "the robot of the shop"}, JSON)
    assert said.json()["description"] == "the robot of the shop"
    assert client_with(plain).get("/apps").status_code == 200
    for bad in ({}, {"description": " "}, {"description": 3}, {"description": "x", "client": {"id": "1"}}):
        assert mine.patch(f"/oauth/authorizations/{robot.id}", bad, JSON).status_code == 422
    assert Token.objects.get(pk=robot.id).description == "the robot of the shop"


def test_nobody_touches_anothers_token(alice, charlie):
    theirs, plain = made(charlie)
    mine = client_with(made(alice)[1])
    assert mine.patch(f"/oauth/authorizations/{theirs.id}", {"description": "x"}, JSON).status_code == 404
    assert mine.post(f"/oauth/authorizations/{theirs.id}/actions/regenerate-tokens", {}, JSON).status_code == 404
    assert client_with(plain).get("/account").status_code == 200


def test_what_no_account_and_no_app_has_is_an_empty_list(alice, shop):
    mine = client_with(made(alice)[1])
    for path in ("/oauth/sessions", "/account/features", "/apps/shop/sni-endpoints", "/apps/shop/log-drains", "/account/app-transfers"):
        assert mine.get(path).json() == []
    assert mine.get("/apps/shop/buildpack-installations").json()[0]["buildpack"]["name"] == "heroku/python"


def test_a_process_type_that_does_not_run_cannot_be_restarted(alice, shop):
    answer = client_with(made(alice)[1]).delete("/apps/shop/formations/worker")
    assert answer.status_code == 404
    assert "worker" in answer.json()["message"]


def test_whoever_has_a_role_may_leave_but_take_nobody_elses(shop, alice, bob, vera):
    watcher = client_with(made(vera)[1])
    assert watcher.delete("/apps/shop/collaborators/bob@example.com").status_code == 403
    assert client_with(made(vera, "read")[1]).delete("/apps/shop/collaborators/vera@example.com").status_code == 403
    assert watcher.delete("/apps/shop/collaborators/vera@example.com").status_code == 200
    assert watcher.get("/apps/shop").status_code == 404
    assert client_with(made(alice)[1]).delete("/apps/shop/collaborators/bob@example.com").status_code == 200


def test_an_expiry_is_a_number_or_the_text_of_one(alice):
    mine = client_with(made(alice)[1])
    assert mine.post("/oauth/authorizations", {"expires_in": "3600"}, JSON).json()["access_token"]["expires_in"] == 3600
    assert mine.post("/oauth/authorizations", {"expires_in": "soon"}, JSON).status_code == 422
