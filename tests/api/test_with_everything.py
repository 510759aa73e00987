"""Each GET of the table about an app that has one of everything: answered as the document and as Heroku's own schema say."""

from __future__ import annotations

import pytest
from django.urls import get_resolver

from greenroom.entrypoints.api.routing import ROUTES
from tests.api import world as worlds

NONE_HERE = {"/oauth/clients/{id}", "/apps/{app}/pipeline-couplings"}
"""Reads of what there never is."""

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(db):
    get_resolver().url_patterns  # noqa: B018
    with worlds.place() as home:
        yield worlds.make(worlds.person("owner@example.com", admin=True), home)


def answers(client, route, known):
    """The first answer that is no 404, over all known values of a path's parts."""
    ids = known["id"] if "{id}" in route.pattern else [""]
    for value in ids:
        answer = client.get(worlds.path_of(route.pattern, known, id=value))
        if answer.status_code != 404:
            break
    return answer


def test_each_read_answers_with_data_as_the_document_says(world):
    client = world.client()
    empty = {}
    for route in ROUTES:
        if route.method != "GET" or route.pattern in NONE_HERE:
            continue
        answer = answers(client, route, world.known)
        assert answer.status_code == 200, (route.pattern, answer.content)
        if answer.json() in ([], {}):
            empty[route.pattern] = answer.json()
    assert set(empty) <= {
        "/account/features", "/oauth/sessions", "/apps/{app}/features", "/apps/{app}/log-drains", "/apps/{app}/sni-endpoints", "/oauth/clients",
        "/account/invoices", "/api/v3/repos/{owner}/{app}/commits/{ref}/statuses", "/api/v3/repos/{owner}/{app}/statuses/{sha}",
    }  # fmt: skip
