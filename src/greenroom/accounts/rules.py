"""Actors and the scopes of API tokens. The roles of users in apps are decided in ``apps.rules``."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass
from typing import Any

SCOPES = ("global", "read", "write", "read-protected", "write-protected", "identity", "checks:write")
"""Heroku's scopes; the ``protected`` ones include config vars. ``checks:write`` only permits to report check runs."""

GRANTS: dict[str, frozenset[str]] = {
    "global": frozenset({"identity", "read", "read-protected", "write", "write-protected", "checks", "global"}),
    "identity": frozenset({"identity"}),
    "read": frozenset({"identity", "read"}),
    "read-protected": frozenset({"identity", "read", "read-protected"}),
    "write": frozenset({"identity", "read", "write", "checks"}),
    "write-protected": frozenset({"identity", "read", "read-protected", "write", "write-protected", "checks"}),
    "checks:write": frozenset({"checks"}),
}


@dataclass(frozen=True, kw_only=True)
class Actor:
    """The account of a request, with the scopes of its credential and its IP address.

    app_id: the credential is limited to this app, None for all apps. checks: the credential is limited to reports of
    these checks, empty for all. mark: the beginning of the token's digest, which changes when the token is rotated.
    """

    account_id: uuid.UUID | None
    email: str
    is_admin: bool = False
    scopes: tuple[str, ...] = ("global",)
    address: str = ""
    token_id: uuid.UUID | None = None
    app_id: uuid.UUID | None = None
    checks: tuple[str, ...] = ()
    mark: str = ""

    @property
    def account(self) -> uuid.UUID:
        """The account's id, or NOBODY."""
        return self.account_id or NOBODY


FIRST = "admin@greenroom.localhost"
"""The first administrator. The domain has a dot, because the Heroku CLI takes an address without one for a team."""
FORMER = {"admin@localhost": FIRST}
"""Old -> new e-mail address of accounts that an upgrade has renamed; both are accepted."""


def address(text: str) -> str:
    """The normalized e-mail address: lower case, former addresses replaced."""
    plain = text.strip().lower()
    return FORMER.get(plain, plain)


MARK = 16
"""Length of ``Actor.mark``."""

MAX_CHECKS = 50
"""Limit of checks of a token."""

NOBODY = uuid.UUID(int=0)
"""An account id that no account has."""

PLATFORM = Actor(account_id=None, email="greenroom", is_admin=True)
"""Greenroom itself, for changes without a user."""


def scope_grants(scopes: tuple[str, ...], needed: str) -> bool:
    """Whether one of the scopes grants ``needed`` (identity, read, read-protected, write, write-protected, checks)."""
    return any(needed in GRANTS.get(scope, frozenset()) for scope in scopes)


def narrowest(needed: str) -> str:
    """The narrowest scope that grants ``needed``, as text for messages: ``write-protected or global``."""
    found = sorted((scope for scope in GRANTS if needed in GRANTS[scope]), key=lambda scope: len(GRANTS[scope]))
    return f"{found[0]} or global" if found and found[0] != "global" else "global"


def wider(wanted: tuple[str, ...], own: tuple[str, ...]) -> bool:
    """Whether the scopes ``wanted`` grant anything that the scopes ``own`` do not."""
    return not _granted(wanted) <= _granted(own)


def _granted(scopes: tuple[str, ...]) -> frozenset[str]:
    return frozenset().union(*(GRANTS.get(scope, frozenset()) for scope in scopes))


@dataclass(frozen=True)
class Rate:
    """A rate limit: the burst size, and the requests per minute."""

    most: int
    per_minute: float

    def __str__(self) -> str:
        return f"{self.most} requests at once and {self.per_minute:g} per minute"


def rate_of(text: str) -> Rate | None:
    """``4500/75`` as a Rate; None for ``off``. ValueError for anything else."""
    if text.strip().lower() == "off":
        return None
    most, _, per_minute = text.partition("/")
    if not most.strip().isdecimal() or not per_minute.strip().isdecimal() or not int(most) or not int(per_minute):
        raise ValueError(f"{text!r} is not a valid rate: use BURST/PER_MINUTE, for example 4500/75, or off")
    return Rate(int(most), float(per_minute))


def refilled(tokens: float, seconds: float, rate: Rate) -> float:
    """The tokens of a bucket after this many seconds."""
    return min(float(rate.most), tokens + seconds * rate.per_minute / 60)


def may_report(actor: Actor, check: str) -> bool:
    """Whether the credential may report this check: it is in its list, case-insensitively, or the list is empty."""
    return not actor.checks or check.strip().casefold() in {name.strip().casefold() for name in actor.checks}


def limits_problem(*, scopes: tuple[str, ...], app_id: uuid.UUID | None, checks: tuple[str, ...]) -> str:
    """The problem of a token's limits; '' for valid ones. Limits require the scope ``checks:write``."""
    if app_id is None and not checks:
        return ""
    if scopes != ("checks:write",):
        return "only a token of the scope checks:write can be limited to an app and its checks"
    if app_id is None or not checks:
        return "a limited token needs an app and at least one check"
    if len(checks) > MAX_CHECKS or any(not name.strip() or len(name) > 100 for name in checks):
        return f"a token has up to {MAX_CHECKS} checks, with names of 1 to 100 characters"
    return ""


def token_digest(plain: str) -> str:
    """The stored digest of a token. A fast hash is sufficient, because the token has 256 random bits."""
    return hashlib.sha256(plain.encode()).hexdigest()


def chain_hash(previous: str, row: dict[str, Any]) -> str:
    """The hash of an audit log entry: SHA-256 of the previous hash and the row as canonical JSON."""
    body = json.dumps(row, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(f"{previous}\n{body}".encode()).hexdigest()
