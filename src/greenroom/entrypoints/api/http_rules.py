"""The HTTP rules that hold for every route: what a request may be, and how an answer is sent (ETag, 304, headers)."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, NoReturn

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse

from greenroom.basics.errors import UserError

if TYPE_CHECKING:
    from greenroom.entrypoints.api.routing import Reply

VERSION = re.compile(r"application/vnd\.heroku\+json\s*;\s*version=([\w.-]+)")
JSON = re.compile(r"application/(\w[\w.+-]*\+)?json\Z")
FORGIVING = "/api/v3/"
"""Below this path a body is JSON whatever its Content-Type says: GitHub's API takes what ``curl -d`` sends."""


class BadRequestError(UserError):
    """The request itself cannot be read."""

    id = "bad_request"
    status = 400


class NotAcceptableError(UserError):
    """A version of the API that is not spoken here."""

    id = "not_acceptable"
    status = 406


class TooLargeError(UserError):
    """The request body is larger than the API takes."""

    id = "request_too_large"
    status = 413


class UnsupportedTypeError(UserError):
    """The request body is of another type than JSON."""

    id = "unsupported_media_type"
    status = 415


def refuse_version(request: HttpRequest) -> None:
    """NotAcceptableError when the Accept header asks for a version that is not Heroku's third. ``3.sdk`` and the like
    are the third.
    """
    match = VERSION.search(request.headers.get("Accept", ""))
    if match and match[1].partition(".")[0] != "3":
        raise NotAcceptableError(
            f"Version {match[1][:20]} of the API is not spoken here.",
            hint='Accept: "application/vnd.heroku+json; version=3"',
        )


def refuse_unwritable(params: dict[str, str], query: dict[str, str]) -> None:
    """BadRequestError for a NUL or half a character in the address: no row could hold it."""
    _check_text({**query, **params}, "The address")


def body_of(request: HttpRequest) -> dict[str, Any]:
    """The JSON object of the request; empty when there is none. BadRequestError, TooLargeError,
    UnsupportedTypeError.
    """
    if request.method in ("GET", "HEAD"):
        return {}
    try:
        raw = request.body
    except RequestDataTooBig as error:
        raise TooLargeError("The request body is too large: at most 5 MB.") from error
    if not raw:
        return {}
    kind = (request.content_type or "").strip().lower()
    if kind and not JSON.match(kind) and not request.path.startswith(FORGIVING):
        raise UnsupportedTypeError(f"The request body is {kind[:60]}.", hint="Content-Type: application/json")
    try:
        data = json.loads(raw, parse_constant=_no_number)
    except (ValueError, UnicodeDecodeError, RecursionError) as error:
        text = str(error) if isinstance(error, ValueError) else "it is nested too deeply"
        raise BadRequestError(f"The request body is not JSON: {text}") from error
    if not isinstance(data, dict):
        raise BadRequestError("The request body must be a JSON object.")
    _check_text(data, "The request body")
    return data


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _check_text(value: Any, where: str) -> None:
    """Refuse texts that no row can hold and numbers that no client means, wherever they stand in the value."""
    open_values = [value]
    while open_values:
        item = open_values.pop()
        if isinstance(item, dict):
            open_values += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            open_values += item
        elif isinstance(item, str) and ("\0" in item or any("\ud800" <= letter <= "\udfff" for letter in item)):
            raise BadRequestError(f"{where} holds a NUL or half a character: {item[:40]!r}.")
        elif isinstance(item, int) and not -(2**63) <= item < 2**63:
            raise BadRequestError(f"{where} holds a number that is too large.")


def respond(request: HttpRequest, reply: Reply) -> HttpResponse:
    """The answer as HTTP: JSON with an ETag, or 304 when the client has it already."""
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
    """Whether If-None-Match names the tag. Weak tags count: the comparison for reads is the weak one (RFC 9110,
    13.1.2).
    """
    return header.strip() == "*" or tag in (part.strip().removeprefix("W/") for part in header.split(","))
