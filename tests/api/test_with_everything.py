"""Each GET route with an app that has one of everything: the response matches the document and Heroku's own schema."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema_rs
import pytest
from django.urls import get_resolver

from greenroom.entrypoints.api.routing import ROUTES
from tests.api import world as worlds

TRAP = {
    "/apps/{app}/mail",
    "/apps/{app}/mail/{mail}",
    "/apps/{app}/mail/{mail}/raw",
    "/apps/{app}/mail/{mail}/attachments/{part}",
    "/apps/{app}/mail-trap",
}
"""Reads of a mail trap need its server; tests/api/test_mail.py has one and looks at each."""
NONE_HERE = {"/oauth/clients/{id}", "/account/features/{feature}"} | TRAP
"""Routes of resources that do not exist in this world."""

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(db):
    get_resolver().url_patterns  # noqa: B018 - loads the URLconf
    with worlds.place() as home:
        yield worlds.make(worlds.person("owner@example.com", admin=True), home)


def answers(client, route, known):
    """The first response other than 404, over all known values of a path's parts."""
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
        "/account/features",
        "/apps/{app}/buildpack-installations",
        "/oauth/clients",
        "/account/invoices",
        "/api/v3/repos/{owner}/{app}/commits/{ref}/statuses",
        "/api/v3/repos/{owner}/{app}/statuses/{sha}",
    }


SCHEMA = json.loads(Path(__file__).with_name("heroku_schema.json").read_text())["definitions"]
OTHERWISE_THERE = {
    ("region", "provider/region"): "Heroku's regions are Amazon's; here there is this machine",
    ("app", "web_url"): "it wants a host of Heroku's",
    ("app", "git_url"): "it wants Heroku's git host",
    ("collaborator", "role"): "it has Heroku's words; our roles are viewer, developer, operator and owner",
    (
        "add-on-attachment",
        "addon",
    ): "Heroku's own CLI reads plan and state here, which the published schema does not have",
    ("domain", "hostname"): "a host name is no URI, whatever the published format says",
}
"""(resource, place) -> why ours differs from the published schema."""

READ = {
    "account": "id email",
    "app": (
        "id name owner region stack build_stack web_url git_url repo_size slug_size archived_at space team generation "
        "locked internal_routing acm create_status maintenance released_at"
    ),
    "release": (
        "id version description status user created_at current "
        "eligible_for_rollback addon_plan_names output_stream_url slug"
    ),
    "dyno": "id name type state size command updated_at release attach_url",
    "formation": "id type quantity size command",
    "domain": "id hostname kind cname status acm_status sni_endpoint",
    "collaborator": "id role user permissions",
    "build": "id status source_blob slug output_stream_url buildpacks stack user app",
    "slug": "id blob commit checksum size process_types stack",
    "add-on": "id name plan state config_vars app billing_entity billed_price addon_service web_url",
    "add-on-attachment": "id name addon app config_vars namespace",
    "oauth-authorization": "id description scope access_token user",
    "add-on-service": "id name human_name state supports_sharing",
    "plan": "id name price human_name state",
    "key": "id public_key email comment fingerprint",
    "region": "id name description country",
    "stack": "id name state default",
    "app-webhook": "id include level url",
    "app-webhook-delivery": "id event webhook status num_attempts last_attempt next_attempt_at",
    "app-webhook-event": "id include payload",
    "rate-limit": "remaining",
    "buildpack-installation": "ordinal buildpack",
    "dyno-size": "id name memory cost",
    "app-setup": "id app status build resolved_success_url failure_message",
}
"""resource -> the fields that Heroku's CLI and the well-known libraries read; the published schema requires almost
none.
"""


def _links():
    """(path with {} for its parts, resource, schema) of each GET in Heroku's schema that declares its response."""
    for name, definition in SCHEMA.items():
        for link in definition["links"]:
            if link["method"] == "GET" and "targetSchema" in link:
                yield re.sub(r"\{[^}]*\}", "{}", link["href"]), name, link["targetSchema"]


def test_each_resource_of_herokus_is_as_the_published_schema_says_and_has_what_its_clients_read(world):
    links = {path: (name, target) for path, name, target in _links()}
    client, seen, wrong = world.client(), set(), []
    for route in ROUTES:
        found = links.get(re.sub(r"\{[^}]*\}", "{}", route.pattern))
        if route.method != "GET" or found is None or route.pattern in NONE_HERE:
            continue
        name, target = found
        data = answers(client, route, world.known).json()
        checker = jsonschema_rs.Draft4Validator({**target, "definitions": SCHEMA}, validate_formats=True)
        for error in checker.iter_errors(data):
            place = "/".join(str(part) for part in error.instance_path if not isinstance(part, int))
            if (name, place) not in OTHERWISE_THERE:
                wrong.append(f"{route.pattern}: {place}: {error.message[:150]}")
        for row in (data if isinstance(data, list) else [data])[:3]:
            missing = set(READ.get(name, "").split()) - set(row)
            wrong += [f"{route.pattern}: {missing} missing"] if missing else []
            seen.add(name)
    assert not wrong, "\n".join(wrong)
    assert seen >= set(READ)
