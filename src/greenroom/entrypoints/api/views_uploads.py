"""The API of sources: links for uploading an archive before a request that uses it."""

from __future__ import annotations

import uuid
from typing import Any

from greenroom.basics import clock
from greenroom.entrypoints.api import client_urls, signed_links
from greenroom.entrypoints.api.routing import Call, Reply, route
from greenroom.git import queries


def _source(app: uuid.UUID | None, permission: str) -> Reply:
    def sign(payload: dict[str, Any], purpose: str, seconds: int) -> str:
        return signed_links.signed(payload, purpose=purpose, app=app, permission=permission, seconds=seconds)

    now = clock.heroku_time(clock.now())
    body: dict[str, Any] = {
        "source_blob": queries.upload_links(sign, base=client_urls.plain("")),
        "created_at": now,
        "updated_at": now,
    }
    return Reply(body, 201)


@route("POST", "/sources", "account:write", returns="201 source")
def make_source(call: Call) -> Reply:
    """Create upload and download links: {source_blob: {put_url, get_url}}.

    PUT a tar archive to put_url within an hour, use get_url within a day. Both end with the token that requested them.
    """
    return _source(None, "account:write")


@route("POST", "/apps/{app}/sources", "push", returns="201 source")
def make_source_of_app(call: Call) -> Reply:
    """Create upload and download links, under the path of older clients."""
    return _source(call.app.id, "push")
