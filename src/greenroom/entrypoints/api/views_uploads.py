"""The API of sources: links to which a client sends an archive before it says what is to be done with it."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from greenroom.basics import clock
from greenroom.entrypoints.api import places
from greenroom.entrypoints.api.routing import Call, Reply, route
from greenroom.git import uploads


def _source() -> Reply:
    base = places.plain("")
    now = clock.heroku_time(clock.now())
    body: dict[str, Any] = {"source_blob": uploads.offer(key=settings.SECRET_KEY, base=base), "created_at": now, "updated_at": now}
    return Reply(body, 201)


@route("POST", "/sources", "account:write", returns="201 source")
def make_source(call: Call) -> Reply:
    """{source_blob: {put_url, get_url}}: PUT a tar archive to the one within an hour, name the other within a day."""
    return _source()


@route("POST", "/apps/{app}/sources", "push", returns="201 source")
def make_source_of_app(call: Call) -> Reply:
    """The same, as older clients ask for it."""
    return _source()
