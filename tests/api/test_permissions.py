"""The page of permissions is correct: it lists each route, and each cell of route, role and scope is tried on the real
API.

Twice: with stub views, so that only the authorisation decides each combination; and with the real views, called by a
stranger and a viewer who must not change any row of any table.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import sys
from pathlib import Path

import pytest
from django.apps import apps as django_apps
from django.test import Client

from greenroom.accounts.rules import GRANTS, SCOPES
from greenroom.apps import actions as apps
from greenroom.apps.rules import RANK
from greenroom.entrypoints.api import routing
from greenroom.entrypoints.api.routing import ROUTES
from greenroom.pipelines import actions as pipelines
from tests.api import world as worlds

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "scripts"))
import permissions

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("all_views")]
LINE = re.compile(r"\| `(\w+) (/\S*)` \| (\S+) \| (\w+) \| (.*) \|")
PARTS = {"app": "shop", "pipeline": "pipe"}
"""Parts of paths that permissions apply to, and their values in the fixtures."""

PEOPLE = ("none", "viewer", "developer", "operator", "owner")


def documented():
    """(method, pattern) -> (role, scopes), read from the page."""
    found = [LINE.match(line) for line in permissions.PAGE.read_text().splitlines()]
    return {(match[1], match[2]): (match[4], set(re.findall(r"[\w:-]+", match[5]))) for match in found if match}


def test_the_page_is_up_to_date_and_has_every_route():
    assert permissions.PAGE.read_text() == permissions.page(ROUTES), "run: python scripts/permissions.py"
    assert set(documented()) == {(row.method, row.pattern) for row in ROUTES}


def test_each_route_is_in_the_table_once():
    pairs = [(row.method, re.sub(r"\{\w+\}", "{}", row.pattern)) for row in ROUTES]
    assert not {pair for pair in pairs if pairs.count(pair) > 1}


class Opened:
    """The route table with stub views, which only show that a request was authorised."""

    def __init__(self, monkeypatch, shop):
        self.shop = shop
        real = routing._answer
        monkeypatch.setattr(
            routing,
            "_answer",
            lambda request, row, params: real(
                request, dataclasses.replace(row, view=lambda call: routing.Reply({"in": 1}), returns=""), params
            ),
        )
        monkeypatch.setattr("tests.schema.problems", lambda *args: [])

    def status(self, client, row):
        path = re.sub(r"\{(\w+)\}", lambda match: PARTS.get(match[1], "x"), row.pattern)
        return client.generic(row.method, path, "{}", content_type="application/json").status_code


@pytest.fixture
def opened(monkeypatch, shop, alice, home):
    """The stub views, with the app in a pipeline of its owner."""
    pipelines.couple(
        actor=alice, pipeline=pipelines.create(actor=alice, name="pipe"), app=shop, stage="staging", home=home
    )
    return Opened(monkeypatch, shop)


def expected(role, needed, person, grants):
    """The status of a cell: 200 with access, 403 without, 404 for an app that is hidden from the person."""
    if role == "anybody":
        return 200
    if role == "account":
        return 200 if needed in grants else 403
    if role == "admin":
        return 200 if person == "admin" and needed in grants else 403
    if person == "none":
        return 404
    return 200 if needed in grants and (person == "admin" or RANK[person] >= RANK[role]) else 403


@pytest.mark.thorough
def test_each_cell_of_permission_role_and_scope_is_as_documented(opened, alice, bob, vera, charlie, shop):
    """Every permission with every person and every scope, on one route of each permission. The next test covers all
    routes.
    """
    oscar, ada = worlds.person("oscar@example.com"), worlds.person("ada@example.com", admin=True)
    apps.add_collaborator(actor=alice, app=shop, email=oscar.email, role="operator")
    people = {"none": charlie, "viewer": vera, "developer": bob, "operator": oscar, "owner": alice, "admin": ada}
    clients = {(name, scope): worlds.client_of(actor, scope) for name, actor in people.items() for scope in SCOPES}
    asked = 0
    for row in {row.permission: row for row in ROUTES if not row.also}.values():
        role, needed = permissions.need(row)
        for (person, scope), client in clients.items():
            want = expected(role, needed, person, GRANTS[scope])
            assert opened.status(client, row) == want, (row.method, row.pattern, person, scope)
            asked += 1
    assert asked == len({row.permission for row in ROUTES if not row.also}) * 42


@pytest.mark.thorough
def test_each_route_lets_in_the_documented_role_and_scope_and_nothing_lower(opened, alice, bob, vera, charlie, shop):
    oscar, ada = worlds.person("oscar@example.com"), worlds.person("ada@example.com", admin=True)
    apps.add_collaborator(actor=alice, app=shop, email=oscar.email, role="operator")
    people = {
        "none": charlie,
        "viewer": vera,
        "developer": bob,
        "operator": oscar,
        "owner": alice,
        "admin": ada,
        "account": charlie,
    }
    wide = {name: worlds.client_of(actor) for name, actor in people.items()}
    narrow = {scope: worlds.client_of(ada, scope) for scope in SCOPES}
    for row in ROUTES:
        if row.also:
            continue
        role, scopes = documented()[row.method, row.pattern]
        if role == "anybody":
            assert opened.status(Client(), row) == 200
            continue
        assert opened.status(Client(), row) == 401, row.pattern
        assert opened.status(wide[role], row) == 200, (row.pattern, role)
        if role in PEOPLE:
            below = PEOPLE[PEOPLE.index(role) - 1]
            assert opened.status(wide[below], row) == (404 if below == "none" else 403), (row.pattern, below)
        for scope, client in narrow.items():
            assert opened.status(client, row) == (200 if scope in scopes else 403), (row.method, row.pattern, scope)


def fingerprint():
    """A hash of all rows of Greenroom, without the times of the last use of tokens."""
    digest = hashlib.sha256()
    for model in sorted(django_apps.get_models(), key=lambda model: model._meta.label):
        if model.__module__.startswith("greenroom."):
            for values in model.objects.order_by("pk").values():
                values.pop("used_at", None)
                digest.update(repr(sorted(values.items(), key=lambda item: item[0])).encode())
    return digest.hexdigest()


@pytest.mark.thorough
def test_who_has_no_role_finds_nothing_and_a_viewer_changes_nothing():
    """The real views, with names and ids of another user's app."""
    with worlds.place() as home:
        world = worlds.make(worlds.person("owner@example.com"), home)
        stranger, viewer = worlds.person("stranger@example.com"), worlds.person("viewer@example.com")
        apps.add_collaborator(actor=world.owner, app=world.app, email=viewer.email, role="viewer")
        outside, looking = worlds.client_of(stranger), worlds.client_of(viewer)
        before = fingerprint()
        for row in ROUTES:
            role, _ = permissions.need(row)
            if role not in RANK:
                continue
            for value in world.known["id"] if "{id}" in row.pattern else [""]:
                for name in world.known["app"]:
                    path = worlds.path_of(row.pattern, world.known, id=value, app=name)
                    body = asked(world, name)
                    answer = outside.generic(row.method, path, _json(body), content_type="application/json")
                    assert answer.status_code == 404, (row.method, path, answer.content)
                    if RANK[role] > RANK["viewer"]:
                        answer = looking.generic(row.method, path, _json(body), content_type="application/json")
                        assert answer.status_code == 403, (row.method, path, answer.content)
        assert fingerprint() == before


def asked(world, name):
    """A body with the app's resources in all fields from which a route may find its app."""
    return {
        "app": name,
        "addon": world.known["addon"][0],
        "addon_attachment": "DATABASE",
        "confirm": name,
        "hour": 1,
        "backup_url": "x",
        "pipeline": world.known["pipeline"][0],
        "stage": "production",
        "branch": "master",
        "source": {"app": name},
        "targets": [{"app": name}],
    }


@pytest.mark.neighbours
def test_a_token_that_grants_too_little_changes_nothing_also_where_the_view_finds_the_app():
    """Every route without an app in its path, called by the owner with each scope that the page does not list."""
    with worlds.place() as home:
        world = worlds.make(worlds.person("owner@example.com"), home)
        clients = {scope: worlds.client_of(world.owner, scope) for scope in SCOPES}
        before, refused = fingerprint(), 0
        for row in (row for row in ROUTES if row.also):
            _, scopes = documented()[row.method, row.pattern]
            for scope in set(SCOPES) - scopes:
                for value in world.known["id"] if "{id}" in row.pattern else [""]:
                    path = worlds.path_of(row.pattern, world.known, id=value, app=world.known["app"][0])
                    answer = clients[scope].generic(
                        row.method, path, _json(asked(world, world.known["app"][0])), content_type="application/json"
                    )
                    assert answer.status_code == 403, (row.method, path, scope, answer.content)
                    refused += 1
        assert refused > 100
        assert fingerprint() == before


@pytest.mark.neighbours
def test_what_belongs_to_another_account_is_not_found():
    with worlds.place() as home:
        world = worlds.make(worlds.person("owner@example.com"), home)
        outside = worlds.client_of(worlds.person("stranger@example.com"))
        before = fingerprint()
        tried = 0
        for row in ROUTES:
            if row.permission.startswith("account:") and "{id}" in row.pattern:
                for value in world.known["id"][:-1]:
                    answer = outside.generic(
                        row.method,
                        worlds.path_of(row.pattern, world.known, id=value),
                        '{"description": "x"}',
                        content_type="application/json",
                    )
                    assert answer.status_code in (
                        404,
                        422 if row.method == "DELETE" and "clients" in row.pattern else 404,
                    ), (row.method, row.pattern)
                    tried += 1
        assert tried > 20
        assert fingerprint() == before


def _json(body):
    import json

    return json.dumps(body)
