"""Saves and loads a database and its snapshots for a backup of the installation."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from greenroom.addons.contract import DATA
from greenroom.addons.models import Addon, Snapshot
from greenroom.addons.postgres import actions
from greenroom.addons.postgres.drivers import dumps, roles
from greenroom.basics.errors import NotFoundError


def parts(addon: Addon) -> tuple[str, ...]:
    """See ``contract.Backups``: the database, and its complete snapshots."""
    rows = Snapshot.objects.filter(addon=addon, state="succeeded").order_by("number")
    return (DATA, *(row.pk.hex for row in rows))


def dump(*, addon: Addon, part: str, home: Path, target: Path) -> None:
    """See ``contract.Backups``. A snapshot's file never changes and is linked."""
    if part == DATA:
        dumps.dump(database=str(addon.data["database"]), target=target, gently=True)
        return
    source = home / _file(addon, part)
    try:
        with contextlib.suppress(OSError):
            os.link(source, target)
            return
        shutil.copyfile(source, target)
    except FileNotFoundError as error:
        raise NotFoundError(f"The snapshot {source.name} was removed.", resource="snapshot") from error


def load(*, addon: Addon, part: str, home: Path, source: Path) -> None:
    """See ``contract.Backups``."""
    if part != DATA:
        target = home / _file(addon, part)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o600)
        return
    actions.build(addon=addon, home=home)
    database, owner = str(addon.data["database"]), str(addon.data["role"])
    dumps.load(source=source, database=database, role=owner)
    roles.share(database, owner)


def _file(addon: Addon, part: str) -> str:
    row = Snapshot.objects.filter(addon=addon, pk=part).first()
    if row is None:
        raise NotFoundError(f"{addon.name} has no snapshot {part}.", resource="snapshot")
    return row.file
