"""Writes docs/reference/permissions.md: each route of the API with the role and the scope that it needs, from the route
table itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "permissions.md"

HEAD = """# Who may do what over the API

This page is written by `scripts/permissions.py` from the route table and from `apps/rules.py`; a test compares it with
them, and another one calls each route as each role and with each scope.

* **Role**: the lowest one that may. Each may what those before it may: `viewer`, `developer`, `operator`, `owner` (of
  the app), and an administrator of the installation, who may do all. `anybody` needs no credential, `account` is every
  account, about itself or about the apps that it can see.
* **Scope**: what the token has to grant. `global` grants all. A token of a scope that grants too little gets 403.
* An app that somebody has no role in answers **404**, in the same words as one that is not there.
* Where the path names no app, the role is asked of the app to which the thing belongs.

## Scopes

| scope of a token | grants |
|--|--|
"""


def need(row: Any) -> tuple[str, str]:
    """(lowest role, what the token must grant) of a route; of several permissions the strictest role and the widest
    grant.
    """
    from greenroom.apps.rules import ACCOUNT_SCOPES, ADMIN_SCOPES, PERMISSIONS, RANK

    if row.also:
        pairs = [PERMISSIONS[name] for name in row.also.split()]
        return max((role for role, _ in pairs), key=RANK.__getitem__), max(
            (grant for _, grant in pairs), key=lambda grant: -len(granting(grant))
        )
    if row.permission == "public":
        return "anybody", ""
    if row.permission in ADMIN_SCOPES:
        return "admin", ADMIN_SCOPES[row.permission]
    if row.permission in ACCOUNT_SCOPES:
        return "account", ACCOUNT_SCOPES[row.permission]
    return PERMISSIONS[row.permission]


def granting(needed: str) -> list[str]:
    """The scopes whose tokens grant it, in the order of their list."""
    from greenroom.accounts.rules import GRANTS, SCOPES

    return [scope for scope in SCOPES if not needed or needed in GRANTS[scope]]


def page(routes: Iterable[Any]) -> str:
    """The whole page."""
    from greenroom.accounts.rules import GRANTS, SCOPES

    lines = [f"| `{scope}` | {', '.join(sorted(GRANTS[scope]))} |" for scope in SCOPES]
    lines += ["", "## Routes", "", "| route | permission | role | scopes |", "|--|--|--|--|"]
    for row in sorted(routes, key=lambda row: (row.pattern, row.method)):
        role, needed = need(row)
        scopes = ", ".join(granting(needed)) if needed else "none needed"
        lines.append(
            f"| `{row.method} {row.pattern}` | {row.also.replace(' ', '+') or row.permission} | {role} | {scopes} |"
        )
    return HEAD + "\n".join(lines) + "\n"


def main() -> int:
    """Write the page."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings_static")
    sys.path[:0] = [str(ROOT), str(ROOT / "src")]
    import django

    django.setup()
    from django.urls import get_resolver

    from greenroom.entrypoints.api.routing import ROUTES

    get_resolver().url_patterns  # noqa: B018 - Django imports them when it is asked
    PAGE.write_text(page(ROUTES))
    print(f"{PAGE.relative_to(ROOT)}: {len(ROUTES)} routes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
