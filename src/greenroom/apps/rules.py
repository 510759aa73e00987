"""The roles of people in an app and what each permits; names of apps and host names. The one table of authorisation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from greenroom.basics.ids import APP_NAME, RESERVED_APP_NAMES

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
"""permission -> (lowest role, scope that the credential needs). What is not listed is denied.

A command of the caller's choice and a test run of the caller's code see config vars, so both need a scope that may read
these.
"""
ACCOUNT_SCOPES = {"identity": "identity", "account:read": "read", "account:write": "write"}
"""Permissions without an app -> the scope that a token needs."""
ADMIN_SCOPES = {"admin": "write", "admin:token": "global"}
"""Permissions of administrators -> the scope that a token needs. A token of scope global is made by one of that scope
alone.
"""
HEROKU_PERMISSIONS = ("view", "deploy", "operate", "manage")
ROLE_OF = {
    frozenset({"view"}): "viewer",
    frozenset({"view", "deploy"}): "developer",
    frozenset({"view", "deploy", "operate"}): "operator",
    frozenset(HEROKU_PERMISSIONS): "operator",
}
"""Sets of Heroku's permissions -> the role that gives these and nothing that was not asked for. ``view`` may be left
out.
"""

RANK = {"none": 0, "viewer": 1, "developer": 2, "operator": 3, "owner": 4}
HOSTNAME = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{0,62}[a-z]\Z")


@dataclass(frozen=True)
class Standing:
    """How somebody stands to an app: their role in it, or being an administrator of the installation."""

    role: str = "none"
    is_admin: bool = False


@dataclass(frozen=True)
class Holder:
    """The owner of a link: id of the account, id and mark of its token (``id.mark``), and the permission in an app for
    which it was given.

    app is empty for a link of the account alone; its permission is one of ACCOUNT_SCOPES.
    """

    account: str
    token: str
    app: str
    permission: str


def allows(standing: Standing, permission: str) -> bool:
    """Whether the standing permits it. Administrators may do all; an unknown permission is denied to everybody."""
    if permission not in PERMISSIONS:
        return False
    return standing.is_admin or RANK[standing.role] >= RANK[PERMISSIONS[permission][0]]


def role_of_permissions(names: Iterable[str]) -> str:
    """The role for a set of Heroku's permissions; empty when no role gives just these."""
    return ROLE_OF.get(frozenset(names) | {"view"}, "")


def name_problem(name: str) -> str:
    """Why ``name`` cannot be an app's name; empty if it can."""
    if not APP_NAME.match(name):
        return (
            f"Name {name[:60]!r} is not allowed: 3 to 30 characters, lower-case letters, digits and dashes, "
            "starting with a letter, not ending with a dash."
        )
    if name[2:4] == "--":
        return (
            f"Name {name!r} is not allowed: browsers show names with -- as third and fourth character as other letters"
            " (xn--)."
        )
    return f"Name {name!r} is reserved." if name in RESERVED_APP_NAMES else ""


def zone_of(hostname: str) -> str:
    """What a domain stands for in the DNS: ``*.example.com`` for example.com."""
    return hostname.removeprefix("*.")


def zones_above(hostname: str) -> list[str]:
    """The domains that the name lies in, the nearest first: a.b.example.com is in b.example.com, example.com and
    com.
    """
    labels = zone_of(hostname).split(".")
    return [".".join(labels[number:]) for number in range(1, len(labels))]


def proof_reason(hostname: str, others: Sequence[str]) -> str:
    """Why adding the domain needs a proof; '' when it does not. others: domains of other owners that lie in it, or it
    in them.
    """
    if others:
        return f"{hostname} is part of a domain of another owner's app, or has one as its part."
    return f"{hostname} captures every name below {zone_of(hostname)}." if hostname.startswith("*.") else ""


def normal_hostname(hostname: str) -> str:
    """Lower case, no dot at the end, punycode. ValueError with a text for people when it is none."""
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
