"""Writes docs/reference/permissions.md: each route of the API with the role and the scope that it needs, from the route
table.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "permissions.md"

HEAD = """# Permissions of the API

`scripts/permissions.py` generates this page from the route table and from `apps/rules.py`. A test compares it with
them, and another test calls each route as each role and with each scope.

* **Role**: the lowest role that may call the route. Each role includes the ones before it: `viewer`, `developer`,
  `operator`, `owner` (of the app), and administrator of the installation. `anybody` needs no credentials. `account` is
  every account, for itself or for the apps that it can see.
* **Scope**: the permission that the token must grant. `global` grants all. A token with a narrower scope gets 403.
* Without a role in an app, the response is **404**, with the same text as for an app that does not exist.
* If the path names no app, the role in the app that owns the resource counts.

## Scopes

| scope of a token | grants |
|--|--|
"""


def need(row: Any) -> tuple[str, str]:
    """(lowest role, permission that the token must grant) of a route. For several permissions, the strictest role and
    the widest permission.
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
    """The scopes that grant the permission, in the order of their list."""
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

    get_resolver().url_patterns  # noqa: B018 - Django imports the views on access
    PAGE.write_text(page(ROUTES))
    print(f"{PAGE.relative_to(ROOT)}: {len(ROUTES)} routes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
