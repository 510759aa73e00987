"""Roles, permissions (the only authorisation table), app names and host names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from greenroom.basics import targets
from greenroom.basics.ids import APP_NAME, RESERVED_APP_NAMES
from greenroom.basics.targets import Target

ROLES = ("viewer", "developer", "operator")

PERMISSIONS: dict[str, tuple[str, str]] = {
    "view": ("viewer", "read"),
    "logs": ("viewer", "read"),
    "config:read": ("developer", "read-protected"),
    "config:write": ("developer", "write-protected"),
    "push": ("developer", "write"),
    "run": ("developer", "write-protected"),
    "scale": ("developer", "write"),
    "release": ("developer", "write"),
    "rerun": ("developer", "write"),
    "data:snapshot": ("developer", "write"),
    "data:read": ("developer", "read-protected"),
    "checks:report": ("developer", "checks"),
    "checks:read": ("developer", "checks"),
    "checks:token": ("operator", "write"),
    "override": ("operator", "write"),
    "settings": ("operator", "write"),
    "domains": ("operator", "write"),
    "access": ("operator", "write"),
    "webhooks:read": ("operator", "read"),
    "webhooks:write": ("operator", "write"),
    "data:write": ("operator", "write-protected"),
    "pipelines:read": ("viewer", "read"),
    "pipelines:test": ("developer", "write-protected"),
    "pipelines:config:read": ("developer", "read-protected"),
    "pipelines:config:write": ("developer", "write-protected"),
    "pipelines:write": ("operator", "write"),
    "pipelines:destroy": ("owner", "write"),
    "source:write": ("operator", "write"),
    "destroy": ("owner", "write"),
}
"""permission -> (lowest role, required scope). Permissions that are not listed are denied.

``run`` and ``pipelines:test`` execute the caller's code, which can read config vars, so they require a ``protected``
scope.
"""
ACCOUNT_SCOPES = {"identity": "identity", "account:read": "read", "account:write": "write"}
"""Permissions without an app -> the required scope."""
ADMIN_SCOPES = {"admin": "write", "admin:token": "global"}
"""Permissions of administrators -> the required scope. Only a token of scope global can create another one."""
HEROKU_PERMISSIONS = ("view", "deploy", "operate", "manage")
ROLE_OF = {
    frozenset({"view"}): "viewer",
    frozenset({"view", "deploy"}): "developer",
    frozenset({"view", "deploy", "operate"}): "operator",
    frozenset(HEROKU_PERMISSIONS): "operator",
}
"""Sets of Heroku's permissions -> the role that grants exactly these. ``view`` is implied."""

RANK = {"none": 0, "viewer": 1, "developer": 2, "operator": 3, "owner": 4}
HOSTNAME = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{0,62}[a-z]\Z")


@dataclass(frozen=True)
class Standing:
    """The role of an account in an app, and whether it is an administrator of the installation."""

    role: str = "none"
    is_admin: bool = False


@dataclass(frozen=True)
class Holder:
    """The holder of a signed URL: account id, token id and mark (``id.mark``), and the permission in an app.

    app is empty for a URL of the account; its permission is then one of ACCOUNT_SCOPES.
    """

    account: str
    token: str
    app: str
    permission: str


def allows(standing: Standing, permission: str) -> bool:
    """Whether the standing has the permission. Administrators have all of them; unknown ones are always denied."""
    if permission not in PERMISSIONS:
        return False
    return standing.is_admin or RANK[standing.role] >= RANK[PERMISSIONS[permission][0]]


def role_of_permissions(names: Iterable[str]) -> str:
    """The role for a set of Heroku's permissions; '' when no role grants exactly these."""
    return ROLE_OF.get(frozenset(names) | {"view"}, "")


def name_problem(name: str) -> str:
    """The problem of an app name, as a message; '' for a valid name."""
    if not APP_NAME.match(name):
        return (
            f"Name {name[:60]!r} is not allowed: 3 to 30 characters, lower-case letters, digits and dashes, "
            "starting with a letter, not ending with a dash."
        )
    if name[2:4] == "--":
        return (
            f"Name {name!r} is not allowed: -- as the third and fourth character is reserved for internationalized"
            " names (xn--)."
        )
    return f"Name {name!r} is reserved." if name in RESERVED_APP_NAMES else ""


def zone_of(hostname: str) -> str:
    """The DNS zone of a domain: example.com for ``*.example.com``."""
    return hostname.removeprefix("*.")


def zones_above(hostname: str) -> list[str]:
    """The parent domains, the nearest first: b.example.com, example.com and com for a.b.example.com."""
    labels = zone_of(hostname).split(".")
    return [".".join(labels[number:]) for number in range(1, len(labels))]


def proof_reason(hostname: str, others: Sequence[str]) -> str:
    """Why adding the domain requires proof of ownership; '' when it does not. others: parent domains and subdomains of
    other owners.
    """
    if others:
        return f"{hostname} is a subdomain or a parent domain of another owner's domain."
    return f"{hostname} matches all subdomains of {zone_of(hostname)}." if hostname.startswith("*.") else ""


def normal_hostname(hostname: str) -> str:
    """The normalized host name: lower case, punycode, no trailing dot. ValueError with a message for an invalid one."""
    text = hostname.strip().lower().rstrip(".")
    try:
        text = text.encode("idna").decode() if not text.isascii() else text
    except UnicodeError as error:
        raise ValueError(f"{hostname[:80]!r} is not a host name.") from error
    if len(text) > 253 or not HOSTNAME.match(text):
        raise ValueError(
            f"{hostname[:80]!r} is not a host name: letters, digits and dashes in labels, at least one dot, no port."
        )
    return text


INVITATION_DAYS = 30
"""The longest validity of an invitation, in days."""


def invitation_problem(role: str, *, has_app: bool, days: int) -> str:
    """The problem of an invitation, as a message; '' for a valid one."""
    if role and not has_app:
        return "A role needs an app: add --app APP."
    if role and role not in ROLES:
        return f"Role {role[:40]!r} does not exist. Valid roles: {', '.join(ROLES)}."
    if not 1 <= days <= INVITATION_DAYS:
        return f"An invitation is valid for 1 to {INVITATION_DAYS} days."
    return ""


EGRESS = ("open", "closed")
"""Policies: dynos reach every target, or those of the rules only."""
NAMED_TARGETS = 3


@dataclass(frozen=True)
class EgressChange:
    """The change of an app's egress. policy: the new one, None if it stays. closed: the policy after the change."""

    policy: str | None
    closed: bool
    added: tuple[Target, ...]
    removed: tuple[Target, ...]

    @property
    def nothing(self) -> bool:
        """Whether everything is as before."""
        return not (self.policy or self.added or self.removed)

    @property
    def reaches_dynos(self) -> bool:
        """Whether dynos notice it: with an open policy, rules do nothing."""
        return bool(self.policy) or (self.closed and bool(self.added or self.removed))

    @property
    def describes(self) -> str:
        """The description of the release."""
        parts = [f"{'Close' if self.closed else 'Open'} egress"] if self.policy else []
        parts += [f"Allow egress to {_listed(self.added)}"] if self.added else []
        parts += [f"No longer allow egress to {_listed(self.removed)}"] if self.removed else []
        return "; ".join(parts)


def _listed(found: Sequence[Target]) -> str:
    more = len(found) - NAMED_TARGETS
    return ", ".join(it.text for it in found[:NAMED_TARGETS]) + (f" and {more} more" if more > 0 else "")


def change_egress(
    policy: str, rules: Collection[Target], *, wanted: str | None, allow: Sequence[Target], remove: Sequence[Target]
) -> EgressChange:
    """The change that a wish leads to. policy, rules: as they are. ValueError with a sentence if it is not possible."""
    if wanted is not None and wanted not in EGRESS:
        raise ValueError(f"Policy {wanted[:40]!r} does not exist.")
    both, lacking = set(allow) & set(remove), [it for it in remove if it not in rules]
    if both:
        raise ValueError(f"{min(both).text} cannot be allowed and removed at once.")
    if lacking:
        raise ValueError(f"{_listed(lacking)} is not among the rules.")
    added = tuple(it for it in dict.fromkeys(allow) if it not in rules)
    removed = tuple(dict.fromkeys(remove))
    count = len(rules) + len(added) - len(removed)
    if added and count > targets.MOST:
        raise ValueError(f"There would be {count} egress rules; {targets.MOST} are allowed.")
    after = wanted or policy
    return EgressChange(None if after == policy else after, after == "closed", added, removed)
