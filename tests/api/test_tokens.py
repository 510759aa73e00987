"""Tokens over the API: changing the description, rotating the token, and no wider scope from either."""

from __future__ import annotations

import pytest
from django.test import Client

from greenroom.accounts import actions
from greenroom.accounts.models import Account, AuditEntry, Token
from tests.api.world import person

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
    new = (
        client_with(old)
        .post("/oauth/authorizations/~/actions/regenerate-tokens", {}, JSON)
        .json()["access_token"]["token"]
    )
    assert client_with(old).get("/account").status_code == 401
    assert client_with(new).get("/oauth/authorizations/~").json()["id"] == str(token.id)


def test_a_narrow_token_gets_no_wide_one_by_exchanging_it(alice):
    wide, plain = made(alice)
    digest = wide.digest
    answer = client_with(made(alice, "write")[1]).post(
        f"/oauth/authorizations/{wide.id}/actions/regenerate-tokens", {}, JSON
    )
    assert answer.status_code == 422
    assert answer.json()["message"].startswith("A token cannot create a token with more permissions.")
    assert Token.objects.get(pk=wide.id).digest == digest
    assert client_with(plain).get("/account").status_code == 200


@pytest.fixture
def ada(db):
    return person("ada@example.com", admin=True)


def test_an_administrator_makes_a_token_for_who_has_lost_theirs_and_the_log_says_for_whom(alice, ada):
    _, old = made(alice)
    said = client_with(made(ada)[1]).post("/accounts/Alice@Example.com/token", {}, JSON)
    assert said.status_code == 201
    new = said.json()["token"]
    assert (said.json()["email"], client_with(new).get("/account").json()["email"]) == (
        "alice@example.com",
        "alice@example.com",
    )
    assert client_with(old).get("/account").status_code == 200
    row = Token.objects.get(account__email="alice@example.com", description="created by ada@example.com")
    assert row.scopes == ["global"]
    entry = AuditEntry.objects.get(action="token.create", detail__token=str(row.id))
    assert (entry.actor, entry.detail["email"]) == ("ada@example.com", "alice@example.com")
    assert new not in str(entry.detail)


def test_nobody_else_makes_one_and_no_narrow_token_of_an_administrator_either(alice, bob, ada):
    before = Token.objects.filter(account__email="bob@example.com").count()
    assert client_with(made(alice)[1]).post("/accounts/bob@example.com/token", {}, JSON).status_code == 403
    for scope in ("write", "write-protected", "read", "identity"):
        answer = client_with(made(ada, scope)[1]).post("/accounts/bob@example.com/token", {}, JSON)
        assert (answer.status_code, answer.json()["hint"]) == (403, "use a token of scope global")
    assert Token.objects.filter(account__email="bob@example.com").count() == before


def test_an_account_that_is_not_there_or_closed_gets_no_token(bob, ada):
    mine = client_with(made(ada)[1])
    answer = mine.post("/accounts/nobody@example.com/token", {}, JSON)
    assert (answer.status_code, answer.json()["hint"]) == (404, "greenroom accounts:create nobody@example.com")
    Account.objects.filter(email="bob@example.com").update(is_active=False)
    assert mine.post("/accounts/bob@example.com/token", {}, JSON).status_code == 409


def test_who_has_no_token_and_no_password_any_more_is_led_to_an_administrators_command(alice, ada):
    """Two former dead ends: an existing account cannot be created again, and nobody could create a token for it."""
    told = client_with(made(ada)[1]).post("/accounts", {"email": "alice@example.com"}, JSON)
    assert (told.status_code, "greenroom accounts:token alice@example.com" in told.json()["hint"]) == (409, True)
    forgot = client_with(made(alice)[1]).put(
        "/account/password", {"password": "not it", "new_password": "four words in a row"}, JSON
    )
    assert (forgot.status_code, "`greenroom accounts:token alice@example.com`" in forgot.json()["hint"]) == (422, True)


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
    for path in (
        "/oauth/sessions",
        "/account/features",
        "/apps/shop/sni-endpoints",
        "/apps/shop/log-drains",
        "/account/app-transfers",
    ):
        assert mine.get(path).json() == []
    assert mine.get("/apps/shop/buildpack-installations").json()[0]["buildpack"]["name"] == "heroku/python"


def test_buildpacks_are_set_in_order_and_a_list_without_python_is_refused(alice, shop):
    mine, path = client_with(made(alice)[1]), "/apps/shop/buildpack-installations"

    def put(*urls: str):
        body = {"updates": [{"buildpack": url} for url in urls]}
        return mine.put(path, body, content_type="application/json")

    assert put("heroku/nodejs", "urn:buildpack:heroku/python").status_code == 200
    assert [row["buildpack"]["name"] for row in mine.get(path).json()] == ["heroku/nodejs", "heroku/python"]
    for urls in (["heroku/nodejs"], ["heroku/ruby", "heroku/python"], ["heroku/python", "heroku/python"]):
        answer = put(*urls)
        assert (answer.status_code, bool(answer.json()["hint"])) == (422, True)
    assert [row["ordinal"] for row in mine.get(path).json()] == [0, 1]
    assert put().json() == mine.get(path).json() == []


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


def test_a_scope_that_may_not_read_config_vars_reads_them_by_no_detour(alice, shop, home):
    """A command, a test run or a new app's initial values can show or set config vars, so they need the same scope."""
    narrow, wide = client_with(made(alice, "write")[1]), client_with(made(alice, "write-protected")[1])
    assert narrow.get("/apps/shop/config-vars").status_code == 403
    for body in ({"command": "env"}, {"command": "env", "attach": True}, {"command": "python manage.py shell"}):
        answer = narrow.post("/apps/shop/dynos", body, JSON)
        assert (answer.status_code, answer.json()["id"]) == (403, "forbidden")
        assert "write-protected or global" in answer.json()["message"] + answer.json().get("hint", "")
        assert wide.post("/apps/shop/dynos", body, JSON).status_code == 409  # no code yet
    for client, status in ((narrow, 403), (wide, 422)):
        pipeline = client.post("/pipelines", {"name": f"pipe-{status}"}, JSON).json()["id"]
        assert client.post("/test-runs", {"pipeline": pipeline}, JSON).status_code == status
        assert (
            client.post(
                "/review-apps", {"pipeline": pipeline, "branch": "b", "environment": {"A": "b"}}, JSON
            ).status_code
            == status
        )


@pytest.mark.parametrize(
    ("given", "role"),
    [
        ({"permissions": [{"name": "view"}]}, "viewer"),
        ({"permissions": ["view", "deploy"]}, "developer"),
        ({"permissions": ["deploy"]}, "developer"),
        ({"permissions": ["view", "deploy", "operate"]}, "operator"),
        ({"permissions": ["view", "deploy", "operate", "manage"]}, "operator"),
        ({"permissions": ["view"], "role": "viewer"}, "viewer"),
        ({"permissions": []}, "developer"),
        ({}, "developer"),
    ],
)
def test_herokus_permissions_give_the_role_that_allows_no_more(shop, alice, charlie, given, role):
    answer = client_with(made(alice)[1]).post("/apps/shop/collaborators", {"user": charlie.email, **given}, JSON)
    assert (answer.status_code, answer.json().get("role")) == (201, role)


@pytest.mark.parametrize(
    "given",
    [
        {"permissions": ["operate"]},
        {"permissions": ["manage"]},
        {"permissions": [{"name": "admin"}]},
        {"permissions": "view"},
        {"permissions": [{}]},
        {"permissions": ["view"], "role": "operator"},
        {"permissions": [3]},
    ],
)
def test_permissions_that_no_role_is_are_refused_and_nobody_gets_in(shop, alice, charlie, given):
    mine = client_with(made(alice)[1])
    answer = mine.post("/apps/shop/collaborators", {"user": charlie.email, **given}, JSON)
    assert answer.status_code == 422
    assert "viewer" in answer.json()["message"]
    assert client_with(made(charlie)[1]).get("/apps/shop").status_code == 404


def test_so_many_config_vars_and_so_large_ones_are_refused_with_what_is_allowed(shop, alice, home, settings):
    mine = client_with(made(alice)[1])
    many = mine.patch("/apps/shop/config-vars", {f"K{number}": "x" for number in range(1_001)}, JSON)
    assert (many.status_code, "1000 are allowed" in many.json()["message"]) == (422, True)
    large = mine.patch("/apps/shop/config-vars", {"SMALL": "x", "LARGE": "x" * 65_536}, JSON)
    assert (large.status_code, "The largest is LARGE" in large.json()["message"]) == (422, True)


@pytest.mark.parametrize(
    ("key", "remedy"),
    [
        ("PORT", "$PORT"),
        ("HEROKU_APP_NAME", "is already set in each dyno"),
        ("HEROKU_TOKEN", "APP_TOKEN"),
        ("__x", "APP_x"),
    ],
)
def test_a_reserved_config_var_is_refused_with_what_to_do(shop, alice, key, remedy):
    answer = client_with(made(alice)[1]).patch("/apps/shop/config-vars", {key: "1"}, JSON)
    assert answer.status_code == 422
    assert "is reserved" in answer.json()["message"]
    assert remedy in answer.json()["message"]
