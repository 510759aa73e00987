"""Signed, expiring payloads for URLs of streams, which can be verified without the database."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from greenroom.basics.errors import NotFoundError


def _mac(key: str, purpose: str, body: bytes) -> bytes:
    return hmac.new(f"{purpose}:{key}".encode(), body, hashlib.sha256).digest()


def sign(payload: dict[str, Any], *, key: str, purpose: str, seconds: int) -> str:
    """Sign ``payload`` as a URL-safe text that is valid for ``seconds`` and only for ``purpose``."""
    body = json.dumps({**payload, "exp": int(time.time()) + seconds}, separators=(",", ":"), sort_keys=True).encode()
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (body, _mac(key, purpose, body)))


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def unsign(text: str, *, key: str, purpose: str) -> dict[str, Any]:
    """The payload of a signed text. NotFoundError when it is forged, for another purpose, or expired for over 60 s."""
    try:
        body, mac = (_decode(part) for part in text.split("."))
        good = hmac.compare_digest(mac, _mac(key, purpose, body))
        payload = json.loads(body) if good else {}
    except (ValueError, TypeError):
        payload = {}
    if not payload or payload["exp"] + 60 < time.time():
        raise NotFoundError("This link is not valid or has expired.", hint="ask for a new one")
    return payload
