"""Provisions, checks and drops the databases of apps."""

from __future__ import annotations

import logging
from pathlib import Path

import psycopg

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import PLATFORM, Actor
from greenroom.addons.actions import alone, note
from greenroom.addons.contract import Draft
from greenroom.addons.models import Addon
from greenroom.addons.postgres.actions import limits
from greenroom.addons.postgres.drivers import roles
from greenroom.addons.postgres.drivers import server as host
from greenroom.addons.postgres.queries import connections_of, roles_of, url_of
from greenroom.addons.rules.access import OWNER
from greenroom.apps.models import App
from greenroom.basics import ids
from greenroom.basics.errors import GreenroomError

log = logging.getLogger(__name__)
ROLES = 1
"""The version of a database's roles and privileges; ``data["roles"]`` of an add-on has the installed version."""


def draft(app: App) -> Draft:
    """The row of a new database: its names on the server, its connections and its password."""
    token = ids.new_secret(6)
    data = {"database": f"d{token}", "role": f"u{token}", "connections": limits.take(app.owner)}
    return Draft(name=f"postgresql-{app.name}-{token[:5]}", data=data, secret={"password": ids.new_secret(24)})


def build(*, addon: Addon, home: Path) -> str:
    """Create the roles and the database of the row. Idempotent. Returns the owner's URL."""
    url = url_of(addon, home)
    with host.connect() as connection:
        roles.make(connection, addon.data["role"], url.password, limit=connections_of(addon))
        host.make_database(connection, addon.data["database"], addon.data["role"], limit=connections_of(addon))
        roles.let_in(connection, addon.data["database"], addon.data["role"])
        for role, kind in zip(roles_of(addon), roles.ALL, strict=True):
            host.set_defaults(connection, role, limits.OWNER if kind == OWNER else limits.RUNNING)
    if addon.data.get("roles") != ROLES:
        note(addon, {"roles": ROLES})
    return url.text


def catch_up(*, home: Path) -> list[Addon]:
    """Upgrade databases with outdated roles; returns the upgraded ones. ``check`` retries failures."""
    done = []
    for addon in (
        Addon.objects.filter(kind="postgres", state="provisioned")
        .exclude(data__contains={"roles": ROLES})
        .select_related("app")
    ):
        try:
            with alone(addon.app):
                if not Addon.objects.filter(pk=addon.pk, state="provisioned").exists():
                    continue
                build(addon=addon, home=home)
            done.append(addon)
        except (GreenroomError, psycopg.Error) as error:
            log.warning("%s: creating its roles failed, will retry: %s", addon.name, error)
    return done


def check(*, addon: Addon, home: Path) -> bool:
    """Repair the passwords and privileges of the database's roles; returns whether a password was wrong."""
    if addon.data.get("over") == "closed":  # its roles must not log in, and a new password would allow it
        return False
    database, owner = addon.data["database"], addon.data["role"]
    with alone(addon.app):
        if not Addon.objects.filter(pk=addon.pk, state="provisioned").exists():
            return False  # destroyed meanwhile: its roles must not be created again
        healed = roles.heal(
            database=database, owner=owner, secret=url_of(addon, home).password, limit=connections_of(addon)
        )
        roles.share(database, owner)
    if healed:
        audit(actor=PLATFORM, action="addon.heal", app=addon.app, detail={"addon": addon.name})
    return healed


def end_connections(*, actor: Actor, addon: Addon) -> int:
    """End all sessions of the app's roles and in its database; returns their number."""
    with host.connect() as connection:
        count = sum(
            host.end_sessions(connection, database=addon.data["database"], role=name) for name in roles_of(addon)
        )
    audit(actor=actor, action="database.connections.end", app=addon.app, detail={"addon": addon.name, "count": count})
    return count


def deprovision(*, addon: Addon) -> None:
    """Drop the database with its copies, and the role. The caller removes the row, alone or with the app."""
    with host.connect() as connection:
        for name in host.databases_under(connection, addon.data["database"] + "_"):
            host.drop_database(connection, name)
        host.drop_database(connection, addon.data["database"])
        roles.drop(connection, addon.data["role"])
