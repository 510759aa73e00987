"""Authenticates a request: Bearer token, Basic with a token as password, or a session of the dashboard."""

from __future__ import annotations

import base64
import binascii

from django.http import HttpRequest

from greenroom.accounts.actions import authentication
from greenroom.accounts.rules import Actor


def parse_header(header: str) -> tuple[str, str]:
    """(user, secret) of an Authorization header; Bearer and ``token`` have no user. ('', '') for an unknown
    scheme.
    """
    kind, _, rest = header.strip().partition(" ")
    if kind.lower() in ("bearer", "token"):
        return "", rest.strip()
    if kind.lower() == "basic":
        try:
            user, _, secret = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            return "", ""
        return user, secret
    return "", ""


def actor_of_header(header: str, *, address: str = "", passwords: bool = False) -> Actor | None:
    """The actor behind an Authorization header, or None. ``passwords``: whether e-mail and password are accepted
    too.
    """
    user, secret = parse_header(header)
    if not secret:
        return None
    actor = authentication.by_token(secret, address=address)
    if actor is None and passwords and "@" in user:
        return authentication.by_password(user, secret, address=address)
    return actor


def actor_of_request(request: HttpRequest) -> Actor | None:
    """The actor of an API request."""
    header = request.headers.get("Authorization", "")
    address = request.META.get("REMOTE_ADDR", "")
    return actor_of_header(header, address=address, passwords=request.path == "/oauth/authorizations")
