"""Every route of the API: no access without credentials, no foreign app for a stranger, no changes by a viewer."""

from __future__ import annotations

import json
import re

import pytest
from django.test import Client
from django.urls import get_resolver

from greenroom.accounts import actions
from greenroom.accounts.models import Account
from greenroom.apps.rules import ACCOUNT_SCOPES, ADMIN_SCOPES, PERMISSIONS
from greenroom.entrypoints.api.routing import ROUTES

pytestmark = pytest.mark.django_db
OF_APPS = [route for route in ROUTES if "{app}" in route.pattern]


@pytest.fixture(autouse=True)
def urls():
    """Load the route table."""
    get_resolver().url_patterns  # noqa: B018 - loads the URLconf


def client_of(actor, *scopes):
    account = Account.objects.get(pk=actor.account_id)
    _, plain = actions.create_token(actor=actor, account=account, scopes=scopes or ("global",))
    return Client(headers={"Authorization": f"Bearer {plain}"})


def call(client, route, app="shop"):
    path = re.sub(r"\{\w+\}", "x", route.pattern.replace("{app}", app))
    return client.generic(route.method, path, "{}", content_type="application/json")


def every(routes):
    return pytest.mark.parametrize("route", routes, ids=lambda route: f"{route.method} {route.pattern}")


def test_the_table_is_loaded():
    assert len(ROUTES) > 40


def test_every_route_names_a_permission_that_exists():
    known = {*PERMISSIONS, *ACCOUNT_SCOPES, *ADMIN_SCOPES, "public"}
    assert not [route.pattern for route in ROUTES if route.permission not in known]


PUBLIC = {
    "/health",
    "/schema",
    "/hooks/{id}",
    "/auth",
    "/buildpacks",
    "/buildpacks/{name}",
    "/buildpacks/{name}/revisions",
    "/buildpacks/{name}/readme",
}
"""The health check, the API's description, signed calls from forges, the start of a sign-in, and the list of
buildpacks, which Heroku's clients read without credentials.
"""


def test_only_what_tells_nothing_of_anybody_is_public():
    assert {route.pattern for route in ROUTES if route.permission == "public"} == PUBLIC


def test_no_route_without_a_credential(shop):
    for route in ROUTES:
        if route.permission != "public":
            answer = call(Client(), route)
            assert answer.status_code == 401, route.pattern
            assert answer.json()["id"] == "unauthorized"


def test_a_stranger_gets_the_same_answer_for_a_foreign_app_and_for_none(charlie, shop):
    client = client_of(charlie)
    for route in OF_APPS:
        foreign, none = call(client, route), call(client, route, "no-such-app")
        assert (foreign.status_code, foreign.content) == (404, none.content.replace(b"no-such-app", b"shop")), (
            route.pattern
        )
        assert call(client, route, str(shop.id)).status_code == 404, route.pattern


def test_a_viewer_can_do_nothing_but_look(vera, shop):
    client = client_of(vera)
    for route in OF_APPS:
        if PERMISSIONS[route.permission][0] != "viewer":
            assert call(client, route).status_code == 403, f"{route.method} {route.pattern}"


def test_a_token_for_reading_cannot_change_its_owners_app(alice, shop):
    client = client_of(alice, "read")
    for route in OF_APPS:
        if PERMISSIONS[route.permission][1] != "read":
            assert call(client, route).status_code == 403, f"{route.method} {route.pattern}"


def test_only_administrators_make_accounts(alice):
    answer = client_of(alice).post("/accounts", json.dumps({"email": "x@example.com"}), content_type="application/json")
    assert answer.status_code == 403


def test_a_token_cannot_make_a_wider_one(alice):
    client = client_of(alice, "write")
    answer = client.post("/oauth/authorizations", json.dumps({"scope": ["global"]}), content_type="application/json")
    assert answer.status_code == 422


def test_errors_have_one_shape(alice, shop):
    client = client_of(alice)
    for path, status in (("/apps/shop/releases/v99", 404), ("/nothing/here", 404), ("/apps/shop/dynos/web.7", 404)):
        answer = client.get(path)
        assert answer.status_code == status
        assert {"id", "message", "url"} <= set(answer.json())


@pytest.mark.parametrize("body", ["{", "[]", '"x"', "\xff", '{"name": 3}', '{"name": "../x"}', '{"name": ["shop"]}'])
def test_bad_bodies_are_refused_and_never_a_500(alice, body):
    answer = client_of(alice).post("/apps", body, content_type="application/json")
    assert answer.status_code in (400, 422), answer.content


def test_an_unchanged_answer_is_not_sent_again(alice, shop):
    client = client_of(alice)
    tag = client.get("/apps/shop")["ETag"]
    assert client.get("/apps/shop", headers={"If-None-Match": tag}).status_code == 304


def test_releases_are_paged_as_heroku_does(alice, shop, home):
    from greenroom.config_vars.actions import write
    from greenroom.releases.actions import release

    for number in range(5):
        config = write(app=shop, home=home, values={"N": str(number)}, actor=alice)
        release(actor=alice, app=shop, kind="config", description=f"Set N {number}", slug=None, config=config)
    answer = client_of(alice).get("/apps/shop/releases", headers={"Range": "version ..; order=desc,max=2"})
    assert answer.status_code == 206
    assert [row["version"] for row in answer.json()] == [5, 4]
    again = client_of(alice).get("/apps/shop/releases", headers={"Range": answer["Next-Range"]})
    assert [row["version"] for row in again.json()] == [3, 2]
