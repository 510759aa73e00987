"""Valid subscriptions, the mapping of audit rows to events, retry intervals, and signatures."""

from __future__ import annotations

import base64
import hashlib
import hmac

from greenroom.basics.backoff import Backoff

INCLUDES = (
    "alerts",
    "api:addon",
    "api:addon-attachment",
    "api:app",
    "api:build",
    "api:collaborator",
    "api:domain",
    "api:formation",
    "api:release",
    "deliveries",
    "dyno",
    "jobs",
    "migrations",
)
LEVELS = ("notify", "sync")
BACKOFF = Backoff(first=20, longest=3600, attempts=12)

AUDITED: dict[str, tuple[str, str]] = {
    "app.rename": ("api:app", "update"),
    "app.settings": ("api:app", "update"),
    "formation.scale": ("api:formation", "update"),
    "addon.create": ("api:addon", "create"),
    "addon.rename": ("api:addon", "update"),
    "addon.destroy": ("api:addon", "destroy"),
    "addon.attach": ("api:addon-attachment", "create"),
    "addon.detach": ("api:addon-attachment", "destroy"),
    "domain.add": ("api:domain", "create"),
    "domain.remove": ("api:domain", "destroy"),
    "access.add": ("api:collaborator", "create"),
    "access.remove": ("api:collaborator", "destroy"),
}
"""action of an audit row -> (kind of event, event action). Releases, builds and dynos have events for their states."""
LIMITED = "addon.quota"
"""The audit action that is an alert: a database or a volume changed its level."""


def normal_includes(wanted: list[str]) -> list[str]:
    """Normalised kinds, sorted and distinct: accepts ``api:dyno`` and ``release``. ValueError lists the valid kinds."""
    found = set()
    for text in wanted:
        short = text.strip().removeprefix("api:")
        name = next((known for known in INCLUDES if known.removeprefix("api:") == short), None)
        if name is None:
            raise ValueError(f"include has {text[:60]!r}; allowed are {', '.join(INCLUDES)}")
        found.add(name)
    if not found:
        raise ValueError(f"include must name at least one of {', '.join(INCLUDES)}")
    return sorted(found)


def text_problem(name: str, value: str, limit: int) -> str:
    """The reason why the text is not a valid header value; empty if it is."""
    if 0 < len(value) <= limit and value.isascii() and value.isprintable():
        return ""
    return f"{name} must have 1 to {limit} printable ASCII characters"


def pause(*, level: str, attempts: int) -> int | None:
    """Seconds until the next attempt after ``attempts`` failures: doubled each time, an hour at most. None: give up."""
    return None if level == "notify" else BACKOFF.pause(attempts)


def succeeded(code: int) -> bool:
    """Whether the receiver accepted it: 2xx. Redirects are not followed and count as failures."""
    return 200 <= code < 300


def signature(secret: str, body: bytes) -> str:
    """The header Heroku-Webhook-Hmac-SHA256: base64 of the HMAC over the sent body."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()
