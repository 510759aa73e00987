"""Which requests need the disk's reserve: those that lead to builds, releases, dumps or uploads. What reads or frees
space never does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from greenroom.basics import disk

if TYPE_CHECKING:
    from greenroom.entrypoints.api.routing import Route

GROWING = {
    "config:write",
    "release",
    "push",
    "data:write",
    "rerun",
    "override",
    "checks:report",
    "pipelines:config:write",
}
"""Permissions whose writes take space."""
ALSO = {"release", "push", "data:write", "run"}
"""The same for routes whose view asks for the permission itself."""
MORE = {
    "/apps",
    "/app-setups",
    "/sources",
    "/review-apps",
    "/test-runs",
    "/apps/{app}/pg/snapshots",
    "/apps/{app}/migrations/actions/rehearse",
}
ASKING_ITSELF = {("POST", "/apps/{app}/releases")}
"""Routes whose view asks, for some requests only: a rollback is a way out when what serves fills the disk, and takes no
more than a row.
"""
FREEING = ("/cancel", "/connection_reset", "/actions/drop", "/actions/public-url")
"""Ends of paths that take nothing, or give space back. A reset of a database does not: it makes a snapshot and keeps
what it replaces for a day.
"""


def need(home: Path) -> None:
    """DiskFullError while the disk lacks its reserve."""
    disk.guard(home, "builds, releases, config changes and snapshots")


def takes_space(row: Route) -> bool:
    """Whether the request is refused while the disk lacks its reserve."""
    if (
        row.method not in ("POST", "PUT", "PATCH")
        or row.pattern.endswith(FREEING)
        or (row.method, row.pattern) in ASKING_ITSELF
    ):
        return False
    return row.permission in GROWING or bool(ALSO & set(row.also.split())) or row.pattern in MORE
