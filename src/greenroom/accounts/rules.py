"""Who acts, and what a token's scopes let it do. Knows nothing of apps; their roles are decided in apps.rules."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass
from typing import Any

SCOPES = ("global", "read", "write", "read-protected", "write-protected", "identity", "checks:write")
"""Heroku's scopes; ``protected`` ones include config vars. ``checks:write``: report check runs, nothing else."""

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
    """Who asks: an account with the scopes of the credential it came with, and the address it came from.

    app_id: the one app that the credential is for, None for all; checks: the only checks that it may report, empty for
    all.
    mark: the beginning of the token's digest, which changes when the token is rotated.
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
        """The account's id, or one that no account has."""
        return self.account_id or NOBODY


FIRST = "admin@greenroom.localhost"
"""The first administrator. The Heroku CLI takes an address without a dot in its host for the name of a team."""
FORMER = {"admin@localhost": FIRST}
"""Addresses of accounts that were renamed by an upgrade -> what they are called now; both are understood."""


def address(text: str) -> str:
    """The e-mail of an account as people may write it: in any case, or by its former name."""
    plain = text.strip().lower()
    return FORMER.get(plain, plain)


MARK = 16
"""Characters of ``Actor.mark``."""

MAX_CHECKS = 50
"""How many checks a limited token may name."""

NOBODY = uuid.UUID(int=0)
"""The account id under which look-ups find nothing."""

PLATFORM = Actor(account_id=None, email="greenroom", is_admin=True)
"""Greenroom itself, for changes that no person asked for."""


def scope_grants(scopes: tuple[str, ...], needed: str) -> bool:
    """Whether one of the scopes includes ``needed`` (identity, read, read-protected, write, write-protected,
    checks).
    """
    return any(needed in GRANTS.get(scope, frozenset()) for scope in scopes)


def narrowest(needed: str) -> str:
    """The scopes whose tokens grant it, the narrowest first: ``write-protected or global``."""
    found = sorted((scope for scope in GRANTS if needed in GRANTS[scope]), key=lambda scope: len(GRANTS[scope]))
    return f"{found[0]} or global" if found and found[0] != "global" else "global"


def wider(wanted: tuple[str, ...], own: tuple[str, ...]) -> bool:
    """Whether a token of the scopes ``wanted`` could do anything that one of ``own`` cannot. It compares what they
    grant, not their names.
    """
    return not _granted(wanted) <= _granted(own)


def _granted(scopes: tuple[str, ...]) -> frozenset[str]:
    return frozenset().union(*(GRANTS.get(scope, frozenset()) for scope in scopes))


@dataclass(frozen=True)
class Rate:
    """How many at once, and how many more each minute."""

    most: int
    per_minute: float

    def __str__(self) -> str:
        return f"{self.most} requests at once and {self.per_minute:g} more each minute"


def rate_of(text: str) -> Rate | None:
    """``4500/75`` as a Rate; None for ``off``. ValueError for anything else."""
    if text.strip().lower() == "off":
        return None
    most, _, per_minute = text.partition("/")
    if not most.strip().isdecimal() or not per_minute.strip().isdecimal() or not int(most) or not int(per_minute):
        raise ValueError(
            f"{text!r} is no rate: as many as may come at once, a slash, and how many more each minute, as in 4500/75,"
            " or off"
        )
    return Rate(int(most), float(per_minute))


def refilled(tokens: float, seconds: float, rate: Rate) -> float:
    """The tokens of a bucket after so many seconds."""
    return min(float(rate.most), tokens + seconds * rate.per_minute / 60)


def may_report(actor: Actor, check: str) -> bool:
    """Whether the credential's list of checks has this one; case does not count, and an empty list has all."""
    return not actor.checks or check.strip().casefold() in {name.strip().casefold() for name in actor.checks}


def limits_problem(*, scopes: tuple[str, ...], app_id: uuid.UUID | None, checks: tuple[str, ...]) -> str:
    """Why a token cannot be limited like this; empty if it can. Limits hold for reports alone, so the scope may be
    nothing wider.
    """
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
    """What is stored of a token. A fast hash is enough: the token has 256 random bits."""
    return hashlib.sha256(plain.encode()).hexdigest()


def chain_hash(previous: str, row: dict[str, Any]) -> str:
    """The audit log's link: SHA-256 over the hash before and the row as canonical JSON."""
    body = json.dumps(row, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(f"{previous}\n{body}".encode()).hexdigest()
