"""Servers of add-ons that are dynos, whatever their kind: readiness, the next start, removal, a new password."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from django.db import transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.addons.actions import set_secret
from greenroom.addons.drivers import service_dynos
from greenroom.addons.drivers.engines import engine
from greenroom.addons.models import Addon
from greenroom.addons.queries import secret_of, server_dyno, server_key, server_start, server_volume
from greenroom.basics import clock, ids

FORMER = timedelta(minutes=10)
"""How long the former password remains valid after a rotation."""


def is_ready(*, addon: Addon, home: Path, process: str) -> bool:
    """Whether the server accepts connections; waits for a moment. PlatformError if it has ended. process: in the
    app's log.
    """
    seconds = service_dynos.START_SECONDS
    return service_dynos.listens(engine(home), server_dyno(addon), seconds=seconds, process=process)


def restart(*, addon: Addon, home: Path, start: Callable[[Addon], None]) -> None:
    """Start the server again after its end. The number is written first, since ids of dynos are never reused."""
    with transaction.atomic():
        row = Addon.objects.select_for_update().select_related("app").get(pk=addon.pk)
        if row.state == "deprovisioning" or row.data.get("starts") != addon.data.get("starts"):
            return
        row.data["starts"] = server_start(row) + 1
        row.save(update_fields=["data"])
    start(row)
    engine(home).forget(service_dynos.dyno_id(server_key(row), row.data["starts"] - 1))


def remove(*, addon: Addon, home: Path) -> None:
    """End the server and remove its data."""
    key, last = server_key(addon), server_start(addon)
    numbers = range(max(1, last - 1), last + 1)
    service_dynos.remove(engine(home), key=key, numbers=numbers, volume=server_volume(addon))


def renew_password(*, actor: Actor, addon: Addon, home: Path) -> Addon:
    """Write a new password; returns the row. The former one remains valid for FORMER, until all dynos have the new
    one.
    """
    with transaction.atomic():
        row = Addon.objects.select_for_update().select_related("app").get(pk=addon.pk)
        secret = secret_of(row, home)
        set_secret(row, home, {**secret, "password": ids.new_secret(24), "former": secret["password"]})
        row.data["former_until"] = (clock.now() + FORMER).timestamp()
        row.save(update_fields=["data", "updated_at"])
        audit(actor=actor, action="addon.rotate", app=row.app, detail={"addon": row.name})
    return row
