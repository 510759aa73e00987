"""Saves and loads the data of a store for a backup of the installation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from greenroom.addons.contract import DATA
from greenroom.addons.drivers import volume_archives
from greenroom.addons.drivers.engines import engine
from greenroom.addons.models import Addon
from greenroom.addons.queries import server_volume
from greenroom.addons.redis import queries, rules
from greenroom.basics.errors import PlatformError

REWRITES = "auto-aof-rewrite-percentage"
USUAL = "100"
SECONDS = 120.0


def parts(addon: Addon) -> tuple[str, ...]:
    """See ``contract.Backups``: none for a plan without persistence."""
    return (DATA,) if rules.size(addon.plan).kept else ()


def dump(*, addon: Addon, part: str, home: Path, target: Path) -> None:
    """See ``contract.Backups``. The files are copied while the server appends to them; it drops an incomplete end."""
    with _without_rewrites(addon, home):
        volume_archives.save(engine(home), addon, server_volume(addon), target)


def load(*, addon: Addon, part: str, home: Path, source: Path) -> None:
    """See ``contract.Backups``."""
    volume_archives.load(engine(home), addon, server_volume(addon), source, home)


@contextmanager
def _without_rewrites(addon: Addon, home: Path) -> Iterator[None]:
    """A rewrite replaces the set of files: none may run during a copy, as Redis' documentation on persistence says."""
    with queries.connection(addon, home) as client:
        client.config_set(REWRITES, "0")
    try:
        end = time.monotonic() + SECONDS
        with queries.connection(addon, home) as client:
            while client.info("persistence").get("aof_rewrite_in_progress"):  # type: ignore[union-attr]
                if time.monotonic() > end:
                    raise PlatformError(f"{addon.name} has rewritten its files for {SECONDS:.0f} s.", hint="try again")
                time.sleep(0.2)
        yield
    finally:
        with queries.connection(addon, home) as client:
            client.config_set(REWRITES, USUAL)
