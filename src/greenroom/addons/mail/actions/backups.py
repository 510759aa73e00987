"""Saves and loads the messages of a trap for a backup of the installation."""

from __future__ import annotations

from pathlib import Path

from greenroom.addons.contract import DATA
from greenroom.addons.drivers import volume_archives
from greenroom.addons.drivers.engines import engine
from greenroom.addons.models import Addon
from greenroom.addons.queries import server_volume


def parts(addon: Addon) -> tuple[str, ...]:
    """See ``contract.Backups``."""
    return (DATA,)


def dump(*, addon: Addon, part: str, home: Path, target: Path) -> None:
    """See ``contract.Backups``. A message that arrives meanwhile may be missing: its envelope is written last."""
    volume_archives.save(engine(home), addon, server_volume(addon), target)


def load(*, addon: Addon, part: str, home: Path, source: Path) -> None:
    """See ``contract.Backups``."""
    volume_archives.load(engine(home), addon, server_volume(addon), source, home)
