"""The OpenAPI 3.1 document of the whole route table. A route without declarations appears with any response."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from greenroom import __version__
from greenroom.entrypoints.api.schemas import (  # noqa: F401
    asked,
    cli,
    data,
    github,
    heroku,
    jobs,
    mail,
    own,
    people,
    pipelines,
    sources,
)
from greenroom.entrypoints.api.schemas.words import SHAPES, Schema, schema

if TYPE_CHECKING:
    from greenroom.entrypoints.api.calls import Route

RETURNS = re.compile(r"(?:(?P<status>2\d\d(?:/2\d\d)*) )?(?P<list>\[)?(?P<shape>[^\[\]\s]+)\]?\Z")
LIMIT = {"type": "integer", "minimum": 1}
QUERY: dict[str, tuple[str, Schema]] = {
    "sha": ("A commit, or the first digits of one.", {"type": "string"}),
    "limit": ("The maximum number of results.", LIMIT),
    "page": ("The page number, from 1.", LIMIT),
    "per_page": ("The page size, at most 100.", LIMIT),
    "app": ("An app, by name or id.", {"type": "string"}),
}
"""name -> (description, schema) of query parameters; any other parameter is a string."""

RANGE = {
    "name": "Range",
    "in": "header",
    "schema": {"type": "string"},
    "example": "id ..; max=100,order=desc",
    "description": "The part of the list to return: a field, a first and a last value, max (at most 1000) and order.",
}
LEAD = """The part of Heroku's Platform API that Greenroom supports, and Greenroom's own resources.

Send a token as `Authorization: Bearer TOKEN`, or as the password of Basic authentication. Lists are paged: 206 with
Next-Range while there is more. Responses have an ETag; errors have one shape. `x-permission` names the role and scope
that a route requires."""


def returned(route: Route) -> tuple[tuple[int, ...], str, bool]:
    """(statuses, shape, whether it is a list) from a route's ``returns``. Raises ValueError for a syntax other than
    ``201 [app]``.
    """
    match = RETURNS.match(route.returns)
    if match is None:
        raise ValueError(
            f"{route.method} {route.pattern} returns {route.returns!r}: write app, [app], 201 app or 200/201 app"
        )
    return tuple(int(status) for status in (match["status"] or "200").split("/")), match["shape"], bool(match["list"])


def reference(name: str) -> Schema:
    """The schema of a shape by its name; ``object`` is any object. Raises KeyError for an undeclared name."""
    if name == "object":
        return schema("object")
    if name not in SHAPES:
        raise KeyError(f"no shape is called {name!r}; declare it in entrypoints/api/schemas")
    return schema(f"#{name}")


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The OpenAPI document of the routes."""
    paths: dict[str, dict[str, Any]] = {}
    for row in routes:
        paths.setdefault(row.pattern, {})[row.method.lower()] = _operation(row)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Greenroom",
            "version": __version__,
            "description": LEAD,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"basic": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": SHAPES,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            },
            "responses": {"Error": {"description": "A refusal.", "content": _json(reference("error"))}},
        },
    }


def _operation(row: Route) -> dict[str, Any]:
    summary, _, rest = (row.view.__doc__ or "").strip().partition("\n")
    found: dict[str, Any] = {
        "operationId": f"{row.method.lower()}{re.sub(r'[^A-Za-z0-9]+', '_', row.pattern)}".rstrip("_"),
        "summary": summary,
        "tags": [_noun(row.pattern)],
        "x-permission": row.permission,
        "parameters": _parameters(row),
        "responses": _responses(row),
    }
    if rest.strip():
        found["description"] = rest.strip()
    if row.permission == "public":
        found["security"] = []
    if row.takes:
        needed = bool(SHAPES[row.takes].get("required"))
        found["requestBody"] = {"required": needed, "content": _json(reference(row.takes))}
    elif row.raw:
        found["requestBody"] = {"required": True, "content": {"application/octet-stream": {}}}
    return found


def _noun(pattern: str) -> str:
    """The resource of a path: its last part that is a plural noun of the table."""
    words = [word for word in pattern.split("/actions/")[0].split("/") if word and "{" not in word and word != "~"]
    return words[-1] if words else "schema"


def _parameters(row: Route) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in re.findall(r"\{(\w+)\}", row.pattern):
        about = {"description": "It may contain slashes."} if name == row.wide else {}
        found.append(
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}, **about}
        )
    for name in row.query:
        text, kind = QUERY.get(name, ("", {"type": "string"}))
        found.append(
            {"name": name, "in": "query", "required": False, "schema": kind, **({"description": text} if text else {})}
        )
    if row.method == "GET" and row.returns.startswith("[") and not row.pattern.startswith("/api/v3/"):
        found.append(RANGE)
    return found


def _responses(row: Route) -> dict[str, Any]:
    refused = {"$ref": "#/components/responses/Error"}
    if not row.returns:
        return {"default": {"description": "No description."}}
    statuses, shape, many = returned(row)
    body = {"type": "array", "items": reference(shape)} if many else reference(shape)
    kind = "application/sarif+json" if shape == "sarif" else "application/json"
    answer = {
        "description": SHAPES.get(shape, {}).get("description", "The answer."),
        "content": {kind: {"schema": body}},
    }
    answers: dict[str, Any] = {str(status): answer for status in statuses}
    if row.method == "GET":
        answers["304"] = {"description": "Not modified (If-None-Match)."}
        if many:
            answers["206"] = {
                "description": "A page of the list. Next-Range is the range of the next page.",
                "content": _json(body),
            }
    return {**answers, "4XX": refused, "503": refused}


def _json(found: Schema) -> dict[str, Any]:
    return {"application/json": {"schema": found}}


@cache
def whole() -> dict[str, Any]:
    """The document of the route table. Created once, at the first call."""
    from greenroom.entrypoints.api.routing import ROUTES

    return document(ROUTES)
