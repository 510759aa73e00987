"""The API's route table: each route declares its permission, and one dispatcher authorises, parses, calls and responds.

A view gets a ``Call`` and returns data (a dict or a list) or a ``Reply``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, re_path
from django.views.decorators.csrf import csrf_exempt

from greenroom.accounts.actions import rate_limits
from greenroom.accounts.rules import Actor, narrowest, scope_grants
from greenroom.apps.models import App
from greenroom.apps.queries import authorise
from greenroom.apps.rules import ACCOUNT_SCOPES, ADMIN_SCOPES
from greenroom.basics.errors import ForbiddenError, NotFoundError, UnauthorizedError
from greenroom.entrypoints.api import (
    database_outage,
    disk_reserve,
    heroku_only,
    http_rules,
    listing,
    paging,
    signed_links,
)
from greenroom.entrypoints.api.auth import actor_of_request
from greenroom.entrypoints.api.calls import Call, Reply, Route, View
from greenroom.entrypoints.api.listing import Listing
from greenroom.entrypoints.api.middleware import error_response
from greenroom.pipelines.models import Pipeline
from greenroom.pipelines.queries import authorise as authorise_pipeline

HOME: Path = settings.HOME
UNCOUNTED = "/health"
"""The only route without a rate limit, because monitoring polls it."""


ROUTES: list[Route] = []


def route(
    method: str,
    pattern: str,
    permission: str,
    *,
    paged: str = "",
    wide: str = "",
    raw: bool = False,
    takes: str = "",
    returns: str = "",
    query: tuple[str, ...] = (),
    also: str = "",
) -> Callable[[View], View]:
    """Register a view. ``{name}`` in the pattern is one path segment; ``paged`` is the default sort field."""

    def register(view: View) -> View:
        ROUTES.append(Route(method, pattern, permission, view, paged, wide, raw, takes, returns, query, also))
        return view

    return register


def _regex(pattern: str, wide: str) -> str:
    def part(match: re.Match[str]) -> str:
        return f"(?P<{match[1]}>.+?)" if match[1] == wide else f"(?P<{match[1]}>[^/]+)"

    return "^" + re.sub(r"\\\{(\w+)\\\}", part, re.escape(pattern.lstrip("/"))) + r"\Z"


def load_views() -> None:
    """Import all ``views_`` modules of this package, which registers their routes."""
    folder = Path(__file__).parent
    for path in sorted(folder.glob("views_*.py")):
        import_module(f"{__package__}.{path.stem}")


def _rank(pattern: str, wide: str) -> tuple[bool, int, list[bool]]:
    """The sort key for URL matching: literal segments before parameters; paths with ``wide`` last, longest first."""
    parts = pattern.split("/")
    return bool(wide), -len(parts) if wide else 0, ["{" in part for part in parts]


def urlpatterns() -> list[URLPattern]:
    """Django's patterns for the whole table, one per path."""
    by_path: dict[str, dict[str, Route]] = defaultdict(dict)
    for row in ROUTES:
        by_path[row.pattern][row.method] = row
    wide = {row.pattern: row.wide for row in ROUTES}
    order = sorted(by_path, key=lambda pattern: _rank(pattern, wide[pattern]))
    return [re_path(_regex(pattern, wide[pattern]), _endpoint(by_path[pattern])) for pattern in order]


def _endpoint(methods: dict[str, Route]) -> Callable[..., HttpResponse]:
    @csrf_exempt
    def endpoint(request: HttpRequest, **params: str) -> HttpResponse:
        row = methods.get("GET" if request.method == "HEAD" else request.method or "")
        if row is None:
            other = heroku_only.instead(request.path)
            text, hint = other or (f"Method {request.method} is not allowed.", f"allowed: {', '.join(methods)}")
            answer = error_response(NotFoundError(text, hint=hint, id="method_not_allowed"))
            answer.status_code = 405
            answer["Allow"] = ", ".join(methods)
            return answer
        request.greenroom_route = row  # type: ignore[attr-defined]
        return database_outage.tried_again(request, lambda: _answer(request, row, params))

    return endpoint


def _answer(request: HttpRequest, row: Route, params: dict[str, str]) -> HttpResponse:
    http_rules.refuse_unwritable(params, request.GET.dict())
    actor = actor_of_request(request)
    address = request.META.get("REMOTE_ADDR", "")
    if row.pattern != UNCOUNTED:
        request.greenroom_remaining = rate_limits.spend(actor, address)  # type: ignore[attr-defined]
    found = _authorise(row, actor, params)
    http_rules.refuse_version(request)
    if disk_reserve.takes_space(row):
        disk_reserve.need(HOME)
    call = Call(
        request=request,
        actor=actor or Actor(account_id=None, email="", scopes=(), address=address),
        body={} if row.raw else http_rules.body_of(request),
        params=params,
        app_row=found if isinstance(found, App) else None,
        pipeline_row=found if isinstance(found, Pipeline) else None,
    )
    signed_links.remember(call.actor)
    result = row.view(call)
    reply = result if isinstance(result, Reply) else Reply(result)
    if isinstance(reply.data, Listing):
        reply = listing.cut(request, reply)
    elif row.method == "GET" and isinstance(reply.data, list) and not row.pattern.startswith(http_rules.FORGIVING):
        reply = paging.apply(request, reply, row.paged)
    return http_rules.respond(request, reply)


def _authorise(row: Route, actor: Actor | None, params: dict[str, str]) -> App | Pipeline | None:
    """Check the route's permission for every view; deny by default. Returns the path's app or pipeline."""
    if row.permission == "public":
        return None
    if actor is None:
        raise UnauthorizedError("Missing, invalid or expired credentials.", hint='eval "$(greenroom env)"')
    if row.permission in ADMIN_SCOPES and not actor.is_admin:
        raise ForbiddenError("Only administrators of the installation may do this.")
    needed = ADMIN_SCOPES.get(row.permission) or ACCOUNT_SCOPES.get(row.permission)
    if needed and scope_grants(actor.scopes, needed):
        return None
    if needed:
        raise ForbiddenError(
            f"The token's scope ({', '.join(actor.scopes)}) does not allow this.",
            hint=f"use a token of scope {narrowest(needed)}",
        )
    if "pipeline" in params:
        return authorise_pipeline(actor, params["pipeline"], row.permission)
    return authorise(actor, params["app"], row.permission)
