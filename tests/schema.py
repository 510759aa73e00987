"""The witness: checks each API response in this suite against the document at /schema.

It is stricter than the document: an undeclared field fails too, so that shapes and schemas cannot diverge.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import jsonschema_rs

from greenroom.entrypoints.api.schemas import openapi


def closed(schema: Any) -> Any:
    """The schema with undeclared properties forbidden."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if (
        found.get("type") == "object"
        and "additionalProperties" not in found
        and isinstance(found.get("properties"), dict)
    ):
        found["additionalProperties"] = False
    return found


@cache
def validator(name: str, many: bool) -> jsonschema_rs.Validator:
    """A validator for a shape, or for a list of it."""
    shape = openapi.reference(name)
    whole = {
        **({"type": "array", "items": shape} if many else shape),
        "components": {"schemas": closed(openapi.SHAPES)},
    }
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def problems(route: Any, status: int, body: bytes) -> list[str]:
    """Differences between the response and the document's description of the route; at most three."""
    if status == 304:
        return [] if not body else ["304 has a body"]
    if status >= 400:
        found = validator("error", False)
    elif not route.returns:
        return []
    else:
        expected, name, many = openapi.returned(route)
        if status not in expected and not (status == 206 and many):
            return [f"{status} is not declared, {', '.join(map(str, expected))} is"]
        found = validator(name, many)
    return [
        f"{'/'.join(map(str, error.instance_path))}: {error.message}"
        for error in list(found.iter_errors(json.loads(body)))[:3]
    ]


@cache
def _routes() -> list[tuple[re.Pattern[str], Any]]:
    from django.urls import get_resolver

    from greenroom.entrypoints.api.routing import ROUTES, _rank, _regex

    get_resolver().url_patterns  # noqa: B018 - loads the URLconf
    rows = sorted(ROUTES, key=lambda row: _rank(row.pattern, row.wide))
    return [(re.compile(_regex(row.pattern, row.wide).replace("^", "/", 1)), row) for row in rows]


def check(method: str, path: str, status: int, body: bytes) -> None:
    """AssertionError if a running installation's response does not match the document. Paths outside the table are
    ignored.
    """
    route = next(
        (row for pattern, row in _routes() if row.method == method and pattern.match(path.partition("?")[0])), None
    )
    if route is not None and status < 500:
        wrong = problems(route, status, body)
        assert not wrong, f"{method} {path} answered {status}: {wrong}"


class Witness:
    """Django middleware of the suite: a response that does not match the document fails its test."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        response = self.get_response(request)
        route = getattr(request, "greenroom_route", None)
        if route is not None and request.method != "HEAD" and response.status_code != 500:
            wrong = problems(route, response.status_code, response.content)
            assert not wrong, f"{route.method} {route.pattern} answered {response.status_code}: {wrong}"
        return response
