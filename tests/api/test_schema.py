"""The document at /schema is valid OpenAPI 3.1 with a description of each route, and the witness checks responses
against it.
"""

from __future__ import annotations

import jsonschema_rs
import pytest
from django.test import Client
from django.urls import get_resolver

from greenroom.entrypoints.api.routing import ROUTES
from greenroom.entrypoints.api.schemas import openapi
from greenroom.entrypoints.api.schemas.words import SHAPES, declare, schema
from tests import schema as witness


@pytest.fixture(scope="module", autouse=True)
def table():
    get_resolver().url_patterns  # noqa: B018 - loads the URLconf


@pytest.fixture(scope="module")
def document():
    return openapi.document(ROUTES)


def test_each_route_says_what_it_returns():
    silent = [f"{row.method} {row.pattern} ({row.view.__module__})" for row in ROUTES if not row.returns]
    assert not silent, 'say what they return: @route(..., returns="app"), see CONTRIBUTING.md'


def test_each_route_that_reads_a_body_says_what_it_takes():
    """A view that uses call.body or call.text needs ``takes=``, unless its body is not JSON."""
    import inspect

    silent = []
    for row in ROUTES:
        code = inspect.getsource(row.view)
        if ("call.body" in code or "call.text" in code or "Asked(" in code) and not row.takes and not row.raw:
            silent.append(f"{row.method} {row.pattern}")
    assert not silent, 'say what they take: @route(..., takes="app.create"), see CONTRIBUTING.md'


def test_each_shape_that_a_route_names_is_declared():
    for row in ROUTES:
        if row.returns:
            openapi.reference(openapi.returned(row)[1])
        assert not row.takes or row.takes in SHAPES, f"{row.method} {row.pattern} takes {row.takes}"


def test_each_declared_shape_is_used(document):
    import json

    text = json.dumps(document)
    assert not [name for name in SHAPES if f'/schemas/{name}"' not in text]


def test_each_query_parameter_that_a_view_reads_is_described():
    import inspect
    import re

    for row in ROUTES:
        read = set(re.findall(r'call\.query\("([^"]+)"\)', inspect.getsource(row.view)))
        assert read <= set(row.query), f"{row.method} {row.pattern}: query={tuple(sorted(read))}"


def test_the_server_shows_the_document_to_anybody_and_every_route_is_in_it(db):
    answer = Client().get("/schema")
    assert answer.status_code == 200
    said = answer.json()
    assert said["openapi"] == "3.1.0"
    for row in ROUTES:
        operation = said["paths"][row.pattern][row.method.lower()]
        assert operation["summary"], row.pattern
        assert operation["x-permission"] == row.permission
    names = [operation["operationId"] for path in said["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))


def test_the_document_is_valid_openapi(document):
    """Each schema is JSON Schema 2020-12, and each reference resolves."""
    for name, shape in SHAPES.items():
        whole = {**shape, "components": document["components"]}
        jsonschema_rs.Draft202012Validator(whole)
        assert shape["description"].endswith("."), name
    for path, operations in document["paths"].items():
        for operation in operations.values():
            wanted = {part["name"] for part in operation["parameters"] if part["in"] == "path"}
            assert all(f"{{{name}}}" in path for name in wanted)


def test_the_witness_refuses_what_is_not_described():
    row = next(row for row in ROUTES if row.pattern == "/account/rate-limits")
    assert not witness.problems(row, 200, b'{"remaining": 3}')
    assert witness.problems(row, 200, b'{"remaining": "3"}')
    assert witness.problems(row, 200, b'{"remaining": 3, "more": 1}')
    assert witness.problems(row, 200, b"{}")
    assert witness.problems(row, 201, b'{"remaining": 3}')
    assert witness.problems(row, 404, b'{"error": "x"}')
    assert not witness.problems(row, 404, b'{"id": "not_found", "message": "x", "url": ""}')


def test_words_become_schemas():
    assert schema("text?") == {"type": ["string", "null"]}
    assert schema("[a|b]") == {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}
    assert schema({"id": "uuid", "?name": "text"})["required"] == ["id"]
    assert schema("#app?")["anyOf"][1] == {"type": "null"}
    with pytest.raises(ValueError, match="unknown schema word"):
        schema("strng")
    with pytest.raises(ValueError, match="declared twice"):
        declare("app", "Again.", {})


def test_answers_of_running_installations_are_held_against_it_too():
    witness.check("GET", "/account/rate-limits?x=1", 200, b'{"remaining": 3}')
    witness.check("GET", "/streams/output/x", 200, b"text")
    with pytest.raises(AssertionError, match="GET /account/rate-limits"):
        witness.check("GET", "/account/rate-limits", 200, b"{}")
    with pytest.raises(AssertionError, match="commits/master/status"):
        witness.check("GET", "/api/v3/repos/me/shop/commits/heads/x/commits/master/status", 200, b"{}")


def test_a_path_with_a_word_is_tried_before_one_that_takes_anything():
    from greenroom.entrypoints.api.routing import _rank

    found = sorted(
        [("/a/{x}", ""), ("/a/b", ""), ("/{y}/b", ""), ("/w/{n}", "n"), ("/w/{n}/more", "n"), ("/w/x", "")],
        key=lambda row: _rank(*row),
    )
    assert [pattern for pattern, _ in found] == ["/a/b", "/w/x", "/a/{x}", "/{y}/b", "/w/{n}/more", "/w/{n}"]
