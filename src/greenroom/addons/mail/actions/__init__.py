"""Creates, starts, changes and removes mail traps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.db import connection, transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.addons.actions import servers as addon_servers
from greenroom.addons.actions import set_secret
from greenroom.addons.contract import Draft
from greenroom.addons.drivers.engines import engine
from greenroom.addons.mail import queries, rules
from greenroom.addons.mail.drivers import servers
from greenroom.addons.models import Addon
from greenroom.addons.queries import secret_of
from greenroom.apps.models import App
from greenroom.basics import ids, outgoing
from greenroom.basics.errors import ConflictError, UserError

LOCK = 7_406
"""The advisory lock of the ports."""


def draft(app: App) -> Draft:
    """The row of a new trap, with a free port, in the caller's transaction. ConflictError if all are taken."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    taken = set(Addon.objects.filter(kind=rules.SERVICE.kind).values_list("data__port", flat=True))
    port = rules.free_port(taken)
    if port is None:
        raise ConflictError(f"All {len(rules.PORTS)} ports for mail traps are in use.", hint="destroy an unused one")
    return Draft(
        name=f"mail-{app.name}-{ids.new_secret(6)[:5]}",
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


def new_password(*, actor: Actor, addon: Addon, home: Path) -> None:
    """Give the trap a new password. The former one remains valid for a while, until all dynos have the new one."""
    row = addon_servers.renew_password(actor=actor, addon=addon, home=home)
    words = [(rules.digest(word), until) for word, until in queries.passwords_of(row, home)]
    with queries.connection(row, home) as client:
        client.ask("passwords", passwords=words)


def clear(*, actor: Actor, addon: Addon, home: Path) -> int:
    """Remove all messages; returns their number. PlatformError if the server does not answer."""
    audit(actor=actor, action="mail.clear", app=addon.app, detail={"addon": addon.name})
    with queries.connection(addon, home) as client:
        return int(client.facts("clear")["cleared"])


@transaction.atomic
def allow(*, actor: Actor, addon: Addon, entry: str) -> list[str]:
    """Add an address or @domain to the allow list, which is returned. UserError, ConflictError if the list is full."""
    wanted = rules.entry(entry)
    row = Addon.objects.select_for_update().get(pk=addon.pk)
    found = {*row.data.get("allow", []), wanted}
    if len(found) > rules.MOST_ALLOWED:
        raise ConflictError(
            f"The allow list has {rules.MOST_ALLOWED} entries, which is the limit.",
            hint=f"greenroom mail:deny ENTRY -a {addon.app.name}, or allow a whole domain",
        )
    audit(actor=actor, action="mail.allow", app=addon.app, detail={"addon": addon.name, "entry": wanted})
    return _set_allowed(addon, row, found)


@transaction.atomic
def deny(*, actor: Actor, addon: Addon, entry: str) -> list[str]:
    """Remove an entry of the allow list, which is returned. UserError if it has none."""
    wanted = entry.strip().lower()
    row = Addon.objects.select_for_update().get(pk=addon.pk)
    found = set(row.data.get("allow", []))
    if wanted not in found:
        raise UserError(
            f"{entry[:80]!r} is not in the allow list of {addon.app.name}.",
            hint=f"list it with: greenroom mail:info -a {addon.app.name}",
        )
    audit(actor=actor, action="mail.deny", app=addon.app, detail={"addon": addon.name, "entry": wanted})
    return _set_allowed(addon, row, found - {wanted})


def _set_allowed(addon: Addon, row: Addon, found: set[str]) -> list[str]:
    row.data["allow"] = sorted(found)
    row.save(update_fields=["data", "updated_at"])
    addon.data = row.data
    return queries.allowed_of(row)


def set_relay(
    *, actor: Actor, addon: Addon, home: Path, url: str, password: str, allowed: tuple[outgoing.Network, ...]
) -> None:
    """Set the SMTP server for allowed recipients. It gets mail from now on, and none that the trap has already.

    UserError for a wrong URL, PlatformError if the trap does not answer.
    """
    relay = rules.relay(url)
    problem = outgoing.host_problem(relay.host, allowed)
    if problem:
        raise UserError(f"The relay {problem}.", hint=outgoing.allow_hint(relay.host))
    if relay.user and not password:
        raise UserError(
            "The relay has a user but no password.",
            hint=f"greenroom mail:relay {relay.url} -a {addon.app.name} asks for it, or reads it from stdin",
        )
    if len(password) > 1000 or not password.isprintable():
        raise UserError("The password of the relay has at most 1000 printable characters.")
    with queries.connection(addon, home) as client:
        last = int(client.facts("info")["last"])
    _write_relay(actor, addon, home, {"relay": relay.facts(), "relayed": last}, password, relay.url)


def unset_relay(*, actor: Actor, addon: Addon, home: Path) -> None:
    """Remove the relay with its password. Messages that wait for it stay in the trap."""
    _write_relay(actor, addon, home, {"relay": None}, "", "")


@transaction.atomic
def _write_relay(actor: Actor, addon: Addon, home: Path, data: dict[str, Any], password: str, url: str) -> None:
    row = Addon.objects.select_for_update().select_related("app").get(pk=addon.pk)
    row.data.update(data)
    row.save(update_fields=["data", "updated_at"])
    secret = secret_of(row, home)
    secret.pop("relay", None)
    set_secret(row, home, {**secret, **({"relay": password} if password else {})})
    audit(actor=actor, action="mail.relay", app=row.app, detail={"addon": row.name, "relay": url})
    addon.data, addon.sealed = row.data, row.sealed
