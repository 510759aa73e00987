"""The HTTP rules of all routes: validation of requests, and the form of responses (ETag, 304, headers)."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, NoReturn

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse

from greenroom.basics.errors import UserError
from greenroom.entrypoints.api.calls import Reply

VERSION = re.compile(r"application/vnd\.heroku\+json\s*;\s*version=([\w.-]+)")
JSON = re.compile(r"application/(\w[\w.+-]*\+)?json\Z")
FORGIVING = "/api/v3/"
"""Below this path a body is JSON regardless of its Content-Type: GitHub's API accepts ``curl -d``."""


class BadRequestError(UserError):
    """The request is malformed."""

    id = "bad_request"
    status = 400


class NotAcceptableError(UserError):
    """The requested API version is not supported."""

    id = "not_acceptable"
    status = 406


class TooLargeError(UserError):
    """The request body exceeds the size limit."""

    id = "request_too_large"
    status = 413


class UnsupportedTypeError(UserError):
    """The request body is not JSON."""

    id = "unsupported_media_type"
    status = 415


def refuse_version(request: HttpRequest) -> None:
    """Raise NotAcceptableError if the Accept header requests another version than 3 or a variant such as ``3.sdk``."""
    match = VERSION.search(request.headers.get("Accept", ""))
    if match and match[1].partition(".")[0] != "3":
        raise NotAcceptableError(
            f"API version {match[1][:20]} is not supported.",
            hint='Accept: "application/vnd.heroku+json; version=3"',
        )


def refuse_unwritable(params: dict[str, str], query: dict[str, str]) -> None:
    """Raise BadRequestError for a NUL byte or an unpaired surrogate in the URL: the database cannot store it."""
    _check_text({**query, **params}, "The address")


def body_of(request: HttpRequest) -> dict[str, Any]:
    """The body's JSON object; empty without one. Raises BadRequestError, TooLargeError, UnsupportedTypeError."""
    if request.method in ("GET", "HEAD"):
        return {}
    try:
        raw = request.body
    except RequestDataTooBig as error:
        raise TooLargeError("The request body is too large. Limit: 5 MB.") from error
    if not raw:
        return {}
    kind = (request.content_type or "").strip().lower()
    if kind and not JSON.match(kind) and not request.path.startswith(FORGIVING):
        raise UnsupportedTypeError(
            f"Unsupported request body type: {kind[:60]}.", hint="Content-Type: application/json"
        )
    try:
        data = json.loads(raw, parse_constant=_no_number)
    except (ValueError, UnicodeDecodeError, RecursionError) as error:
        text = str(error) if isinstance(error, ValueError) else "it is nested too deeply"
        raise BadRequestError(f"The request body is not valid JSON: {text}") from error
    if not isinstance(data, dict):
        raise BadRequestError("The request body must be a JSON object.")
    _check_text(data, "The request body")
    return data


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not valid JSON")


def _check_text(value: Any, where: str) -> None:
    """Raise BadRequestError for strings that the database cannot store and for oversized numbers, at any depth."""
    open_values = [value]
    while open_values:
        item = open_values.pop()
        if isinstance(item, dict):
            open_values += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            open_values += item
        elif isinstance(item, str) and ("\0" in item or any("\ud800" <= letter <= "\udfff" for letter in item)):
            raise BadRequestError(f"{where} contains a NUL byte or an unpaired surrogate: {item[:40]!r}.")
        elif isinstance(item, int) and not -(2**63) <= item < 2**63:
            raise BadRequestError(f"{where} contains a number that is too large.")


def respond(request: HttpRequest, reply: Reply) -> HttpResponse:
    """The reply as an HTTP response: JSON with an ETag, or 304 if the client's copy is current."""
    if isinstance(reply.data, HttpResponse):
        return reply.data
    response = JsonResponse(reply.data, safe=False, status=reply.status, json_dumps_params={"ensure_ascii": False})
    for name, value in reply.headers.items():
        response[name] = value
    response.setdefault("Cache-Control", "private, no-store")
    response["Vary"] = "Accept, Authorization, Range"
    if request.method not in ("GET", "HEAD"):
        return response
    tag = f'"{hashlib.sha256(response.content).hexdigest()[:32]}"'
    response["ETag"] = tag
    if not _has(request.headers.get("If-None-Match", ""), tag):
        return response
    same = HttpResponse(status=304)
    for name in ("ETag", "Cache-Control", "Vary", *reply.headers):
        if name != "Content-Type":
            same[name] = response[name]
    del same["Content-Type"]
    return same


def _has(header: str, tag: str) -> bool:
    """Whether If-None-Match contains the tag. Uses weak comparison, as required for reads (RFC 9110, 13.1.2)."""
    return header.strip() == "*" or tag in (part.strip().removeprefix("W/") for part in header.split(","))
