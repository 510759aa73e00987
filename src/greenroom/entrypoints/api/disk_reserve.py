"""The requests that need the disk reserve: those that lead to builds, releases, dumps or uploads. Requests that read
or free space do not.
"""

from __future__ import annotations

from pathlib import Path

from greenroom.basics import disk
from greenroom.entrypoints.api.calls import Route

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
"""Permissions whose writes use disk space."""
ALSO = {"release", "push", "data:write", "run"}
"""The same for routes whose view checks the permission."""
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
"""Routes whose view calls ``need`` for some requests only: a rollback must work on a full disk."""
FREEING = ("/cancel", "/connection_reset", "/actions/drop", "/actions/public-url")
"""Path suffixes that use no space or free it. A database reset is not one: it creates a snapshot and keeps the old
database for a day.
"""


def need(home: Path) -> None:
    """Raise DiskFullError if free space is below the reserve."""
    disk.guard(home, "builds, releases, config changes and snapshots")


def takes_space(row: Route) -> bool:
    """Whether the request is refused while free space is below the reserve."""
    if (
        row.method not in ("POST", "PUT", "PATCH")
        or row.pattern.endswith(FREEING)
        or (row.method, row.pattern) in ASKING_ITSELF
    ):
        return False
    return row.permission in GROWING or bool(ALSO & set(row.also.split())) or row.pattern in MORE
