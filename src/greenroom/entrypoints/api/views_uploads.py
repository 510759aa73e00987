"""The API of sources: links to which a client sends an archive before it says what is to be done with it."""

from __future__ import annotations

import uuid
from typing import Any

from greenroom.basics import clock
from greenroom.entrypoints.api import client_urls, signed_links
from greenroom.entrypoints.api.routing import Call, Reply, route
from greenroom.git.drivers import source_archives


def _source(app: uuid.UUID | None, permission: str) -> Reply:
    def sign(payload: dict[str, Any], purpose: str, seconds: int) -> str:
        return signed_links.signed(payload, purpose=purpose, app=app, permission=permission, seconds=seconds)

    now = clock.heroku_time(clock.now())
    body: dict[str, Any] = {
        "source_blob": source_archives.offer(sign, base=client_urls.plain("")),
        "created_at": now,
        "updated_at": now,
    }
    return Reply(body, 201)


@route("POST", "/sources", "account:write", returns="201 source")
def make_source(call: Call) -> Reply:
    """{source_blob: {put_url, get_url}}: PUT a tar archive to the one within an hour, name the other within a day.

    Both end with the token that asked for them.
    """
    return _source(None, "account:write")


@route("POST", "/apps/{app}/sources", "push", returns="201 source")
def make_source_of_app(call: Call) -> Reply:
    """The same, as older clients ask for it."""
    return _source(call.app.id, "push")
