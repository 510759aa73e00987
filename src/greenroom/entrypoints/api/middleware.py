"""Converts errors to the API's error shape: {id, message, url, hint}."""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse

from greenroom.accounts.actions.rate_limits import RateLimitError
from greenroom.basics import client_commands
from greenroom.basics.database import judged
from greenroom.basics.errors import GreenroomError, NotFoundError
from greenroom.entrypoints.api import client_urls, database_outage, heroku_only

log = logging.getLogger(__name__)


def error_response(error: GreenroomError) -> JsonResponse:
    """The error as Heroku's JSON body. The message includes the hint."""
    body = {"id": error.id, "message": error.message, "url": ""}
    if error.hint:
        body["message"] = f"{error.message}\nhint: {error.hint}"
        body["hint"] = error.hint
    if error.resource:
        body["resource"] = error.resource
    response = JsonResponse(body, status=error.status)
    if error.status == 401:
        response["WWW-Authenticate"] = 'Basic realm="Greenroom"'
    if isinstance(error, RateLimitError):
        response["Retry-After"] = str(error.retry_after)
    elif error.status == 503:
        response["Retry-After"] = str(database_outage.RETRY_AFTER)
    return response


GITHUB = "/api/v3/"
"""Below this path errors also have GitHub's fields."""


def of_request(request: HttpRequest, error: GreenroomError) -> JsonResponse:
    """The error in the shape for the path's clients: GitHub's also get documentation_url, status and errors."""
    response = error_response(error)
    if request.path.startswith(GITHUB):
        body = json.loads(response.content)
        body |= {"message": error.message, "documentation_url": "", "status": str(error.status)}
        if getattr(error, "errors", None):
            body["errors"] = error.errors  # type: ignore[attr-defined]
        response.content = json.dumps(body).encode()
    return response


class ApiErrors:
    """Converts each GreenroomError of a view to JSON, and each other exception to a 500 without details."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.greenroom_id = _request_id(request)  # type: ignore[attr-defined]
        client_urls.remember(request)
        response = self.get_response(request)
        _in_the_clients_words(request, response)
        response["Request-Id"] = request.greenroom_id  # type: ignore[attr-defined]
        remaining = getattr(request, "greenroom_remaining", None)
        if remaining is not None or response.status_code == 429:
            response["RateLimit-Remaining"] = str(remaining or 0)
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, GreenroomError):
            return of_request(request, error)
        name = getattr(request, "greenroom_id", "")
        told = judged(error)
        if told is not None:
            log.warning(
                "%s %s: %s: %s (request %s)", request.method, request.path, told.message, str(error).strip(), name
            )
            return of_request(request, told)
        log.exception("%s %s failed (request %s)", request.method, request.path, name)
        body = {
            "id": "internal_error",
            "message": f"Internal server error. See Greenroom's log (request {name}).",
            "url": "",
        }
        return JsonResponse(body, status=500)


def _in_the_clients_words(request: HttpRequest, response: HttpResponse) -> None:
    """Replace commands in errors and warnings by those of the requesting client."""
    client = client_commands.of_agent(request.headers.get("User-Agent", ""))
    if client and response.status_code >= 400 and response.get("Content-Type", "") == "application/json":
        response.content = client_commands.in_words_of(client, response.content.decode()).encode()
    if client and "X-Heroku-Warning" in response:
        response["X-Heroku-Warning"] = client_commands.in_words_of(client, response["X-Heroku-Warning"])


def _request_id(request: HttpRequest) -> str:
    """The client's request id if it is valid by the rules of Heroku's router, else a new one."""
    given = request.headers.get("Request-Id") or request.headers.get("X-Request-Id") or ""
    return given if re.fullmatch(r"[A-Za-z0-9_-]{20,200}", given) else str(uuid.uuid4())


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The 404 for a path without a route. For an unsupported path of Heroku's API it names the alternative."""
    text, hint = heroku_only.instead(request.path) or (
        f"{request.method} {request.path[:200]} does not exist.",
        heroku_only.HERE,
    )
    return of_request(request, NotFoundError(text, hint=hint))
