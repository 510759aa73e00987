"""Volumes as a kind of add-on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from greenroom.accounts.models import Account
from greenroom.accounts.rules import Actor
from greenroom.addons.contract import (
    Backups,
    Doubles,
    Draft,
    Kind,
    Loop,
    Mounts,
    Options,
    Platform,
    Restores,
    Schema,
    Snapshots,
)
from greenroom.addons.models import Addon
from greenroom.addons.volume import actions, queries, rules
from greenroom.addons.volume import loop as loops
from greenroom.addons.volume.actions import backups
from greenroom.apps.models import App
from greenroom.basics.errors import ConflictError
from greenroom.engine.contract import Forward, Mount


class VolumeMounts:
    """The folders in dynos."""

    def of(self, addons: Sequence[Addon], *, dyno: str) -> tuple[Mount, ...]:
        return queries.mounts(addons, dyno=dyno)

    def in_tests(self, addons: Sequence[Addon]) -> tuple[dict[str, str], tuple[Mount, ...]]:
        return queries.in_tests(addons)


class VolumeOptions:
    """The path and the size."""

    choose = staticmethod(actions.choose)

    def same(self, addon: Addon) -> Mapping[str, object]:
        return {"at": addon.data["path"], "size": addon.data["size"]}


class Volume:
    """A folder for each add-on. Its snapshots have commands of their own, since those of ``pg:`` are for databases."""

    service = rules.SERVICE
    doubles: Doubles | None = None
    snapshots: Snapshots | None = None
    restores: Restores | None = None
    backups: Backups | None = backups
    schema: Schema | None = None
    mounts: Mounts | None = VolumeMounts()
    options: Options | None = VolumeOptions()

    def refuse_if_full(self, owner: Account) -> None:
        """The disk and the number of an app's volumes are the only limits, see ``choose``."""

    def draft(self, app: App) -> Draft:
        return actions.draft(app)

    def provision(self, *, addon: Addon, home: Path) -> None:
        """Nothing: the engine makes the folder for the first dyno."""

    def finish(self, *, addon: Addon, home: Path) -> bool:
        return True

    def deprovision(self, *, addon: Addon, home: Path) -> None:
        actions.remove(addon=addon, home=home)

    def values(self, addon: Addon, home: Path) -> dict[str, str]:
        return {"_PATH": str(addon.data["path"])}

    def rotate(self, *, actor: Actor, addon: Addon, home: Path) -> None:
        raise ConflictError(f"{addon.name} has no credentials.", hint=f"greenroom volumes -a {addon.app.name}")

    def words(self, addon: Addon, home: Path, access: str) -> list[tuple[str, str]]:
        """None: there is one kind of access."""
        return []

    def forwards(self, addons: Sequence[Addon]) -> tuple[Forward, ...]:
        return ()

    def info(self, addon: Addon) -> dict[str, Any]:
        return queries.info(addon)

    def sweeps(self, home: Path) -> Mapping[str, Callable[[], object]]:
        return {}

    def loops(self, home: Path, platform: Platform) -> Mapping[str, Loop]:
        return {"volumes": loops.Loop(home, platform)}

    def catch_up(self, home: Path) -> None:
        """Nothing changed since the first version."""


KIND: Kind = Volume()
