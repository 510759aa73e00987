"""Renders the pages of this entry point: plain HTML without scripts, with a policy that allows nothing else."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString

from greenroom.accounts.actions import rate_limits

CSS = (Path(__file__).parent / "templates" / "greenroom" / "page.css").read_text()
_HASH = base64.b64encode(hashlib.sha256(CSS.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
"""Only the style of the page itself, and forms to this server."""


def show(request: HttpRequest, template: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """The page. context: has ``title``, and may have ``text`` and ``error``."""
    answer = render(request, template, {**context, "css": SafeString(CSS)}, status=status)
    answer["Content-Security-Policy"] = POLICY
    answer["Referrer-Policy"] = "same-origin"
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


def too_many(request: HttpRequest, template: str) -> HttpResponse | None:
    """Count the request against the address's rate limit; the page for too many, else None."""
    try:
        rate_limits.spend(None, request.META.get("REMOTE_ADDR", ""))
    except rate_limits.RateLimitError as error:
        answer = show(request, template, {"title": "Too many requests", "error": str(error)}, status=error.status)
        answer["Retry-After"] = str(error.retry_after)
        return answer
    return None
