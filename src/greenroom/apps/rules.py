"""The roles of people in an app and what each permits; names of apps and host names. The one table of authorisation."""

from __future__ import annotations

import re
from dataclasses import dataclass

from greenroom.basics.ids import APP_NAME, RESERVED_APP_NAMES

ROLES = ("viewer", "developer", "operator")

PERMISSIONS: dict[str, tuple[str, str]] = {
    "view": ("viewer", "read"),
    "logs": ("viewer", "read"),
    "config:read": ("developer", "read-protected"),
    "config:write": ("developer", "write-protected"),
    "push": ("developer", "write"),
    "run": ("developer", "write"),
    "scale": ("developer", "write"),
    "release": ("developer", "write"),
    "rerun": ("developer", "write"),
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
    "pipelines:test": ("developer", "write"),
    "pipelines:config:read": ("developer", "read-protected"),
    "pipelines:config:write": ("developer", "write-protected"),
    "pipelines:write": ("operator", "write"),
    "pipelines:destroy": ("owner", "write"),
    "source:write": ("operator", "write"),
    "destroy": ("owner", "write"),
}
"""permission -> (lowest role, scope that the credential needs). What is not listed is denied."""

RANK = {"none": 0, "viewer": 1, "developer": 2, "operator": 3, "owner": 4}
HOSTNAME = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{0,62}[a-z]\Z")


@dataclass(frozen=True)
class Standing:
    """How somebody stands to an app: their role in it, or being an administrator of the installation."""

    role: str = "none"
    is_admin: bool = False


def allows(standing: Standing, permission: str) -> bool:
    """Whether the standing permits it. Administrators may do all; an unknown permission is denied to everybody."""
    if permission not in PERMISSIONS:
        return False
    return standing.is_admin or RANK[standing.role] >= RANK[PERMISSIONS[permission][0]]


def name_problem(name: str) -> str:
    """Why ``name`` cannot be an app's name; empty if it can."""
    if not APP_NAME.match(name):
        return (
            f"Name {name[:60]!r} is not allowed: 3 to 30 characters, lower-case letters, digits and dashes, "
            "starting with a letter, not ending with a dash."
        )
    return f"Name {name!r} is reserved." if name in RESERVED_APP_NAMES else ""


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
