"""Key-value stores as a kind of add-on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings

from greenroom.accounts.models import Account
from greenroom.accounts.rules import Actor
from greenroom.addons.actions import servers
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
from greenroom.addons.drivers import service_dynos
from greenroom.addons.models import Addon
from greenroom.addons.queries import server_key
from greenroom.addons.redis import actions, queries, rules
from greenroom.addons.redis import loop as loops
from greenroom.addons.redis.actions import backups, doubles
from greenroom.apps.models import App
from greenroom.engine.contract import Forward


class Redis:
    """A server for each add-on."""

    service = rules.SERVICE
    doubles: Doubles | None = doubles
    snapshots: Snapshots | None = None
    restores: Restores | None = None
    backups: Backups | None = backups
    schema: Schema | None = None
    mounts: Mounts | None = None
    options: Options | None = None

    def refuse_if_full(self, owner: Account) -> None:
        """The ports are the only limit, see ``draft``."""

    def draft(self, app: App) -> Draft:
        return actions.draft(app)

    def provision(self, *, addon: Addon, home: Path) -> None:
        actions.start(addon=addon, home=home)

    def finish(self, *, addon: Addon, home: Path) -> bool:
        return actions.is_ready(addon=addon, home=home)

    def deprovision(self, *, addon: Addon, home: Path) -> None:
        servers.remove(addon=addon, home=home)

    def values(self, addon: Addon, home: Path) -> dict[str, str]:
        return {suffix: queries.url_of(addon, home, suffix) for suffix in rules.SERVICE.variables}

    def rotate(self, *, actor: Actor, addon: Addon, home: Path) -> None:
        actions.new_password(actor=actor, addon=addon, home=home)

    def words(self, addon: Addon, home: Path, access: str) -> list[tuple[str, str]]:
        """None: a store has one kind of access."""
        return []

    def forwards(self, addons: Sequence[Addon]) -> tuple[Forward, ...]:
        return tuple(service_dynos.forward(server_key(addon), int(addon.data["port"])) for addon in addons)

    def info(self, addon: Addon) -> dict[str, Any]:
        return queries.info(addon, settings.HOME)

    def sweeps(self, home: Path) -> Mapping[str, Callable[[], object]]:
        return {}

    def loops(self, home: Path, platform: Platform) -> Mapping[str, Loop]:
        return {"key-value stores": loops.Loop(home)}

    def catch_up(self, home: Path) -> None:
        """Nothing changed since the first version."""


KIND: Kind = Redis()
