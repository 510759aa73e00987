"""The API's schema."""

from __future__ import annotations

from greenroom.entrypoints.api.routing import Call, Reply, route
from greenroom.entrypoints.api.schemas import openapi


@route("GET", "/schema", "public", returns="document")
def schema(call: Call) -> Reply:
    """The OpenAPI 3.1 document of all routes, as JSON."""
    return Reply(openapi.whole(), headers={"Cache-Control": "public, max-age=60"})
