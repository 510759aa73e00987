"""Valid source URLs, webhook payloads, and fetch intervals. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from greenroom.basics.backoff import Backoff

INTERVAL, SHORTEST, LONGEST = 300, 10, 86_400
"""Seconds between fetches: default, minimum and maximum."""
SLOWEST = 3600
OVERLAP_HOURS = 24
MAX_BODY = 25 * 1024 * 1024
"""Maximum bytes of a webhook call; equals GitHub's limit."""

_SCP = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9._-]{0,60})@)?(?P<host>[A-Za-z0-9][A-Za-z0-9.-]{0,252}):(?P<path>[^/:-][^:]*)\Z"
)
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,60}\Z")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}\Z|[0-9a-fA-F:.]{2,45}\Z")
FORMS = "https://HOST/PATH.git, ssh://git@HOST/PATH.git or git@HOST:PATH.git"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A parsed repository URL. port: 0 for the scheme's default; path: without leading slash and ``.git``."""

    scheme: str
    host: str
    port: int
    user: str
    path: str


def place_of(url: str) -> Place | str:
    """The parsed URL, or the reason why it is not a valid source."""
    if len(url) > 500 or not url.isascii() or not url.isprintable() or any(char in url for char in " \\\"'"):
        return "must be at most 500 printable ASCII characters without blanks and quotes"
    scp = _SCP.match(url) if "://" not in url else None
    if scp:
        return Place(scheme="ssh", host=scp["host"].lower(), port=0, user=scp["user"] or "git", path=_bare(scp["path"]))
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "has no port or host that can be read"
    if (
        parts.scheme not in ("https", "http", "ssh")
        or not parts.hostname
        or not _HOST.match(parts.hostname)
        or parts.hostname[-1] == "."
    ):
        return f"must be {FORMS}"
    if parts.password is not None or (parts.username and parts.scheme != "ssh"):
        return "must hold no user and password: give a token by --token-file; it is kept encrypted"
    if parts.username and not _USER.match(parts.username):
        return "has a user name that is none"
    if parts.query or parts.fragment or not _bare(parts.path) or port == 0:
        return f"must be {FORMS}, without a query"
    return Place(
        scheme=parts.scheme,
        host=parts.hostname.lower(),
        port=port or 0,
        user=parts.username or "",
        path=_bare(parts.path),
    )


def _bare(path: str) -> str:
    return path.strip("/").removesuffix(".git").strip("/")


# ---- webhooks --------------------------------------------------------------------------------------------------------


def answer_of(event: str, payload: Any, branch: str) -> tuple[bool, str]:
    """(whether to fetch the branch now, the response). The payload is only a trigger: commits always come from a
    fetch.
    """
    if event == "ping":
        return False, "pong"
    if event != "push":
        return False, f"ignored: {_word(event) or 'a call without an event'} changes no branch"
    ref = payload.get("ref") if isinstance(payload, dict) else None
    if not isinstance(ref, str):
        return False, "ignored: a push without a ref"
    if ref != f"refs/heads/{branch}":
        return False, f"ignored: {_word(ref)}; this app follows {branch}"
    return True, f"{branch} will be fetched"


def _word(text: str) -> str:
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in text)[:80]


# ---- fetches ---------------------------------------------------------------------------------------------------------


def pause(interval: int, failures: int) -> int:
    """Seconds until the next fetch, longer after consecutive failures."""
    if not failures:
        return interval
    backoff = Backoff(first=max(SHORTEST, min(interval, 60)), longest=SLOWEST)
    return max(interval, backoff.pause(failures) or 0)


def fingerprint(key: str) -> str:
    """``SHA256:...`` of a public key in OpenSSH format, like ``ssh-keygen -l``; empty for an invalid one."""
    words = key.split()
    blob = next((word for word in words if word.startswith("AAAA")), "")
    try:
        digest = hashlib.sha256(base64.b64decode(blob, validate=True)).digest()
    except (binascii.Error, ValueError):
        return ""
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=") if blob else ""
