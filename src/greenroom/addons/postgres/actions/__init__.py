"""Provisions and drops the databases of apps, and throw-away ones for their tests."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from django.db import transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import PLATFORM, Actor
from greenroom.addons import actions as addons
from greenroom.addons.models import Addon
from greenroom.addons.postgres.actions import limits
from greenroom.addons.postgres.drivers import role_removal, roles
from greenroom.addons.postgres.drivers import server as host
from greenroom.addons.postgres.queries import connections_of, roles_of, server, url_of
from greenroom.addons.postgres.rules import OWNER, THROWAWAY
from greenroom.apps.actions import lock_apps
from greenroom.apps.models import App
from greenroom.apps.queries import unknown
from greenroom.basics import ids
from greenroom.basics.errors import GreenroomError
from greenroom.config_vars.actions import data_key
from greenroom.config_vars.drivers.encryption import seal

log = logging.getLogger(__name__)
PLAN = "heroku-postgresql:essential-0"
ROLES = 1
"""The version of a database's roles and of their rights; ``data["roles"]`` of an add-on says which it has."""


MADE_HERE = (
    "SELECT rolname FROM pg_roles r JOIN pg_auth_members m ON m.roleid = r.oid"
    " WHERE rolname ~ %s AND m.member = (SELECT oid FROM pg_roles WHERE rolname = CURRENT_USER) AND m.admin_option"
)


@dataclass(frozen=True)
class Throwaway:
    """A database for one test run; its role may create further databases, as Django's test runner does."""

    name: str
    url: str


def alone(app: App) -> AbstractContextManager[None]:
    """Only one process makes or destroys what belongs to the app. Begin it outside of transactions, and look then what
    is there.
    """
    return host.one_at_a_time(f"app/{app.pk}")


def provision(
    *, actor: Actor, app: App, home: Path, attachment: str = "DATABASE", given: bool = False
) -> tuple[Addon, dict[str, str]]:
    """A database for the app, attached; returns it with the config vars that belong to it (``DATABASE_URL``).

    The row stands first: when the process dies in between, ``finish`` makes what is missing. given: nobody asked for
    it, see ``claim``.
    """
    addon = record(actor=actor, app=app, home=home, attachment=attachment, given=given)
    url = finish(addon=addon, home=home)
    return addon, {f"{attachment}_URL": url}


@transaction.atomic
def record(
    *, actor: Actor, app: App, home: Path, attachment: str, name: str = "", confirmed: bool = False, given: bool = False
) -> Addon:
    """The row of a database that is still to be made, in state provisioning, with its first attachment.

    ``confirmed``: the attachment may be taken from another add-on; else UserError with id confirmation_required.
    """
    if not lock_apps([app.pk]):
        raise unknown(app.name)
    token = ids.new_secret(6)
    data = {"database": f"d{token}", "role": f"u{token}", "connections": limits.take(app.owner)} | (
        {"given": True} if given else {}
    )
    addon = Addon.objects.create(
        app=app, kind="postgres", name=f"postgresql-{app.name}-{token[:5]}", plan=PLAN, data=data
    )
    secret = json.dumps({"password": ids.new_secret(24)}).encode()
    addon.sealed = seal(data_key(app=app, home=home), secret, f"addon/{addon.id}")
    addon.save(update_fields=["sealed"])
    if name:
        addons.rename(actor=actor, addon=addon, name=name)
    addons.attach(actor=actor, addon=addon, app=app, name=attachment, confirmed=confirmed)
    audit(actor=actor, action="addon.create", app=app, detail={"addon": addon.name, "attachment": attachment})
    return addon


@transaction.atomic
def claim(*, actor: Actor, app: App, name: str = "") -> Addon | None:
    """The database that came with a new app, for its owner's first wish to have one (``create --addons
    heroku-postgresql``); once, and not after
    code was released: whoever asks then wants another. None when there is none to claim."""
    lock_apps([app.pk])
    addon = (
        Addon.objects.select_for_update(no_key=True)
        .filter(app=app, kind="postgres", state="provisioned", data__contains={"given": True})
        .first()
    )
    if addon is None or app.releases.exclude(slug=None).exists():
        return None
    limits.note(addon, {"given": False})
    audit(actor=actor, action="addon.claim", app=app, detail={"addon": addon.name})
    return addons.rename(actor=actor, addon=addon, name=name) if name else addon


def build(*, addon: Addon, home: Path) -> str:
    """Make roles and database as the row says. Repeatable. Returns the owner's URL."""
    url = url_of(addon, home)
    with host.connect() as connection:
        roles.make(connection, addon.data["role"], url.password, limit=connections_of(addon))
        host.make_database(connection, addon.data["database"], addon.data["role"], limit=connections_of(addon))
        roles.let_in(connection, addon.data["database"], addon.data["role"])
        for role, kind in zip(roles_of(addon), roles.ALL, strict=True):
            host.set_defaults(connection, role, limits.OWNER if kind == OWNER else limits.RUNNING)
    if addon.data.get("roles") != ROLES:
        limits.note(addon, {"roles": ROLES})
    return url.text


def catch_up(*, home: Path) -> list[Addon]:
    """Give their roles to the databases that were made before there were any; those that were given them. One that
    cannot be is left for ``check``.
    """
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
            log.warning("%s has not got its roles yet: %s", addon.name, error)
    return done


def check(*, addon: Addon, home: Path) -> bool:
    """See that the database's roles open it with the passwords that apps have, and have what they are to have; whether
    a password was wrong.
    """
    if addon.data.get("over") == "closed":  # its roles may not log in, and a new password would let them
        return False
    database, owner = addon.data["database"], addon.data["role"]
    with alone(addon.app):
        if not Addon.objects.filter(pk=addon.pk, state="provisioned").exists():
            return False  # it was destroyed since it was looked up: its roles must not come back
        healed = roles.heal(
            database=database, owner=owner, secret=url_of(addon, home).password, limit=connections_of(addon)
        )
        roles.share(database, owner)
    if healed:
        audit(actor=PLATFORM, action="addon.heal", app=addon.app, detail={"addon": addon.name})
    return healed


def finish(*, addon: Addon, home: Path) -> str:
    """The same, and mark it provisioned; one that is to go stays so."""
    text = build(addon=addon, home=home)
    Addon.objects.filter(pk=addon.pk, state="provisioning").update(state="provisioned")
    addon.state = "provisioned"
    return text


def deprovision(*, addon: Addon) -> None:
    """Drop the database with its copies, and the role. The row is removed by the caller, with the app or alone."""
    with host.connect() as connection:
        for name in host.databases_under(connection, addon.data["database"] + "_"):
            host.drop_database(connection, name)
        host.drop_database(connection, addon.data["database"])
        roles.drop(connection, addon.data["role"])


def make_throwaway(*, label: str) -> Throwaway:
    """An empty database of a role with CREATEDB. The same label gives the same names and a new password."""
    name = _throwaway_name(label)
    password = ids.new_secret(16)
    with host.connect() as connection:
        host.make_role(connection, name, password, createdb=True)
        host.set_defaults(connection, name, limits.RUNNING)
        host.let_into_postgres(connection, name)
        if not host.database_exists(connection, name):
            host.make_database(connection, name, name)
    return Throwaway(name=name, url=host_url(name, password, name))


def drop_throwaway(*, label: str) -> None:
    """Drop what ``make_throwaway`` made, and every database that its role made. Unknown label: nothing."""
    _drop_throwaway(_throwaway_name(label))


def throwaways() -> set[str]:
    """Names of the throw-away roles that this installation has made, which a server may share with another one;
    ``drop_other_throwaways`` takes them.
    """
    with host.connect() as connection:
        return {name for (name,) in connection.execute(MADE_HERE, [THROWAWAY]).fetchall()}


def drop_other_throwaways(*, there: set[str], labels: Iterable[str]) -> list[str]:
    """Drop those of ``there`` that were made for none of the labels; their names. Ask the server before the labels: a
    new one is in none of both.
    """
    left = sorted(there - {_throwaway_name(label) for label in labels})
    for name in left:
        _drop_throwaway(name)
    return left


def _drop_throwaway(name: str) -> None:
    with host.connect() as connection:
        if host.role_exists(connection, name):
            host.lock_out(connection, name)
        host.drop_database(connection, name)
        role_removal.drop_role(connection, name)


def _throwaway_name(label: str) -> str:
    return "t" + hashlib.sha256(label.encode()).hexdigest()[:20]


def host_url(role: str, password: str, database: str) -> str:
    """``postgres://role:password@host:port/database`` for the server that holds the apps' databases."""
    return f"postgres://{role}:{password}@{server()}/{database}"
