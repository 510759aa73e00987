"""Which URLs can be a source, whether a webhook's call is genuine and what it hints at, and when to look again. Pure.

Signatures: GitHub (docs.github.com, "Validating webhook deliveries"), Gitea and GitLab (their webhook documentation).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

KINDS = ("github", "gitlab", "gitea", "git")
USERNAMES = {"github": "x-access-token", "gitlab": "oauth2", "gitea": "greenroom", "git": "greenroom"}
"""The user name that goes with a token over https where none is given."""
INTERVAL, SHORTEST, LONGEST = 300, 10, 86_400
"""Seconds between looks: usual, least and most."""
SLOWEST = 3600
OVERLAP_HOURS = 24
MAX_BODY = 25 * 1024 * 1024
"""Bytes of a webhook's call; GitHub sends no more."""

_SCP = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9._-]{0,60})@)?(?P<host>[A-Za-z0-9][A-Za-z0-9.-]{0,252}):(?P<path>[^/:-][^:]*)\Z"
)
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,60}\Z")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}\Z|[0-9a-fA-F:.]{2,45}\Z")
_GITHUB = re.compile(r"sha256=[0-9a-f]{64}\Z")
_GITEA = re.compile(r"[0-9a-f]{64}\Z")
FORMS = "https://HOST/PATH.git, ssh://git@HOST/PATH.git or git@HOST:PATH.git"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A repository's URL taken apart. port: 0 for the scheme's own; path: without a slash in front and ``.git``
    behind.
    """

    scheme: str
    host: str
    port: int
    user: str
    path: str


def place_of(url: str) -> Place | str:
    """The URL taken apart, or why it cannot be a source."""
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


def guess_kind(host: str) -> str:
    """Which forge a host is, by its name alone."""
    labels = host.split(".")
    if host in ("github.com", "ssh.github.com") or "github" in labels:
        return "github"
    if "gitlab" in labels:
        return "gitlab"
    return "gitea" if host == "codeberg.org" or {"gitea", "forgejo"} & set(labels) else "git"


def api_root(kind: str, place: Place) -> str:
    """Where the forge's API is; empty for plain git. A port of ssh says nothing about https."""
    if kind == "git":
        return ""
    if place.host in ("github.com", "ssh.github.com"):
        return "https://api.github.com"
    host = f"[{place.host}]" if ":" in place.host else place.host
    port = f":{place.port}" if place.port and place.scheme != "ssh" else ""
    scheme = "http" if place.scheme == "http" else "https"
    return f"{scheme}://{host}{port}/api/" + {"github": "v3", "gitlab": "v4", "gitea": "v1"}[kind]


# ---- webhooks --------------------------------------------------------------------------------------------------------


def genuine(headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> bool:
    """Whether the call was signed with one of the secrets. headers: names in lower case, repeated ones joined by a
    comma.

    Every signature that is there has to hold, and one has to be there; GitHub's old SHA-1 header is none.
    """
    verdicts = []
    if "x-hub-signature-256" in headers:
        given = headers["x-hub-signature-256"]
        verdicts.append(bool(_GITHUB.match(given)) and _holds(given.removeprefix("sha256="), body, secrets))
    if "x-gitea-signature" in headers:
        given = headers["x-gitea-signature"]
        verdicts.append(bool(_GITEA.match(given)) and _holds(given, body, secrets))
    if "x-gitlab-token" in headers:
        given = headers["x-gitlab-token"]
        verdicts.append(any([hmac.compare_digest(given.encode(), secret.encode()) for secret in secrets if secret]))
    return bool(verdicts) and all(verdicts)


def _holds(given: str, body: bytes, secrets: Sequence[str]) -> bool:
    wanted = [hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() for secret in secrets if secret]
    return any([hmac.compare_digest(given, one) for one in wanted])


@dataclass(frozen=True, kw_only=True)
class Call:
    """What a webhook's call says of itself. event: ping, push, tag or the forge's own word; delivery: its id, empty if
    it has none.
    """

    event: str
    delivery: str


EVENTS = {"Push Hook": "push", "Tag Push Hook": "tag", "tag_push": "tag"}


def call_of(headers: Mapping[str, str]) -> Call:
    """The event and the id by the headers of GitHub, Gitea or GitLab."""
    names = ("x-github-event", "x-gitea-event", "x-gitlab-event")
    event = next((headers[name] for name in names if headers.get(name)), "")
    ids = ("x-github-delivery", "x-gitea-delivery", "x-gitlab-event-uuid", "idempotency-key")
    delivery = next((headers[name] for name in ids if headers.get(name)), "")
    return Call(event=EVENTS.get(event, event)[:60], delivery=delivery[:100])


def answer_of(call: Call, payload: Any, branch: str) -> tuple[bool, str]:
    """(whether to look at the branch now, what to answer). The payload only says where to look: what is there is
    fetched.
    """
    if call.event == "ping":
        return False, "pong"
    if call.event != "push":
        return False, f"ignored: {_word(call.event) or 'a call without an event'} changes no branch"
    ref = payload.get("ref") if isinstance(payload, dict) else None
    if not isinstance(ref, str):
        return False, "ignored: a push without a ref"
    if ref != f"refs/heads/{branch}":
        return False, f"ignored: {_word(ref)}; this app follows {branch}"
    return True, f"{branch} will be fetched"


def _word(text: str) -> str:
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in text)[:80]


# ---- looking ---------------------------------------------------------------------------------------------------------


def pause(interval: int, failures: int) -> int:
    """Seconds until the next look, longer after failures in a row."""
    if not failures:
        return interval
    return max(interval, min(SLOWEST, max(SHORTEST, min(interval, 60)) * 2 ** min(failures - 1, 12)))


def fingerprint(key: str) -> str:
    """``SHA256:...`` of a public key in OpenSSH's form, as ``ssh-keygen -l`` prints it; empty when it is none."""
    words = key.split()
    blob = next((word for word in words if word.startswith("AAAA")), "")
    try:
        digest = hashlib.sha256(base64.b64decode(blob, validate=True)).digest()
    except (binascii.Error, ValueError):
        return ""
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=") if blob else ""


KNOWN_HOSTS = {
    "github.com": "github.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
    "gitlab.com": "gitlab.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAfuCHKVTjquxvt6CM6tdG4SLp1Btn/nOeHHE5UOzRdf",
}
"""Keys that these hosts publish; each other host's is learned at the first contact unless it is given."""
