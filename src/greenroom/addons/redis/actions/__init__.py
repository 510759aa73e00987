"""Creates, starts, changes and removes key-value stores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.addons.actions import servers as addon_servers
from greenroom.addons.actions import set_secret
from greenroom.addons.contract import Draft
from greenroom.addons.drivers.engines import engine
from greenroom.addons.models import Addon
from greenroom.addons.queries import secret_of
from greenroom.addons.redis import queries, rules
from greenroom.addons.redis.drivers import clients, servers
from greenroom.apps.models import App
from greenroom.basics import clock, ids
from greenroom.basics.errors import ConflictError

LOCK = 7_405
"""The advisory lock of the ports."""


def draft(app: App) -> Draft:
    """The row of a new store, with a free port, in the caller's transaction. ConflictError if all are taken."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    taken = set(Addon.objects.filter(kind="redis").values_list("data__port", flat=True))
    newest = max(taken, default=rules.PORTS.start - 1)
    first = newest + 1 if newest + 1 in rules.PORTS else rules.PORTS.start
    port = next((port for port in rules.free_ports(taken, first) if servers.is_unused(port)), None)
    if port is None:
        raise ConflictError(
            f"All {len(rules.PORTS)} ports for key-value stores are in use.", hint="destroy an unused one"
        )
    return Draft(
        name=f"redis-{app.name}-{ids.new_secret(6)[:5]}",
        data={"port": port, "starts": 1},
        secret={"password": ids.new_secret(24), "platform": ids.new_secret(24)},
    )


def start(*, addon: Addon, home: Path) -> None:
    """Start the server of the present number, or do nothing if it runs."""
    servers.start(engine(home), queries.server_of(addon, home), home)


def is_ready(*, addon: Addon, home: Path) -> bool:
    """Whether the server accepts connections; waits for a moment. PlatformError if it has ended."""
    return addon_servers.is_ready(addon=addon, home=home, process=servers.PROCESS)


def restart(*, addon: Addon, home: Path) -> None:
    """Start the server again after its end."""
    addon_servers.restart(addon=addon, home=home, start=lambda row: start(addon=row, home=home))


def change(*, actor: Actor, addon: Addon, changes: Mapping[str, object], home: Path) -> dict[str, Any]:
    """Change settings, in the row and in the running server. UserError for a wrong value; returns all settings."""
    wanted = rules.settings(changes)
    with transaction.atomic():
        row = Addon.objects.select_for_update().get(pk=addon.pk)
        row.data.update(wanted)
        row.save(update_fields=["data", "updated_at"])
        audit(actor=actor, action="addon.change", app=addon.app, detail={"addon": addon.name, **wanted})
    with queries.connection(row, home) as client:
        clients.apply(client, wanted)
    return queries.settings_of(row)


def reset_stats(*, addon: Addon, home: Path) -> None:
    """Reset the counters of the running server. PlatformError if it does not answer."""
    with queries.connection(addon, home) as client:
        client.config_resetstat()


def new_password(*, actor: Actor, addon: Addon, home: Path) -> Addon:
    """Give the store a new password. The former one remains valid for a while, until all dynos have the new one."""
    row = addon_servers.renew_password(actor=actor, addon=addon, home=home)
    apply_passwords(addon=row, home=home)
    return row


def apply_passwords(*, addon: Addon, home: Path) -> None:
    """Set the valid passwords in the running server. PlatformError if it does not answer."""
    with queries.connection(addon, home) as client:
        clients.set_passwords(client, queries.passwords_of(addon, home))


def forget_former(*, addon: Addon, home: Path) -> None:
    """Withdraw a former password whose time is over."""
    apply_passwords(addon=addon, home=home)
    with transaction.atomic():
        row = Addon.objects.select_for_update().get(pk=addon.pk)
        if row.data.get("former_until", 0) <= clock.now().timestamp():
            row.data.pop("former_until", None)
            secret = secret_of(row, home)
            secret.pop("former", None)
            set_secret(row, home, secret)
            row.save(update_fields=["data"])
