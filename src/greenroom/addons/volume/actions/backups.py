"""Saves and loads the files of a volume and its snapshots for a backup of the installation."""

from __future__ import annotations

from pathlib import Path

from greenroom.addons.contract import DATA
from greenroom.addons.drivers import volume_archives
from greenroom.addons.drivers.engines import engine
from greenroom.addons.models import Addon, Snapshot
from greenroom.addons.volume import queries


def parts(addon: Addon) -> tuple[str, ...]:
    """See ``contract.Backups``: the files, and those of the complete snapshots."""
    rows = Snapshot.objects.filter(addon=addon, state="succeeded").order_by("number")
    return (DATA, *(row.file for row in rows))


def dump(*, addon: Addon, part: str, home: Path, target: Path) -> None:
    """See ``contract.Backups``."""
    volume_archives.save(engine(home), addon, _artefact(addon, part), target)


def load(*, addon: Addon, part: str, home: Path, source: Path) -> None:
    """See ``contract.Backups``."""
    volume_archives.load(engine(home), addon, _artefact(addon, part), source, home)


def _artefact(addon: Addon, part: str) -> str:
    return queries.artefact(addon, "" if part == DATA else part)
