"""Provisions and drops the databases of apps, and throw-away ones for their tests."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from django.db import transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.addons import actions as addons
from greenroom.addons.models import Addon
from greenroom.addons.postgres import host
from greenroom.addons.postgres.queries import server, url_of
from greenroom.apps.models import App
from greenroom.basics import ids
from greenroom.config_vars.actions import data_key
from greenroom.config_vars.crypto import seal

PLAN = "heroku-postgresql:essential-0"


@dataclass(frozen=True)
class Throwaway:
    """A database for one test run; its role may create further databases, as Django's test runner does."""

    name: str
    url: str


def provision(*, actor: Actor, app: App, home: Path, attachment: str = "DATABASE") -> tuple[Addon, dict[str, str]]:
    """A database for the app, attached; returns it with the config vars that belong to it (``DATABASE_URL``).

    The row stands first: when the process dies in between, ``finish`` makes what is missing.
    """
    addon = record(actor=actor, app=app, home=home, attachment=attachment)
    url = finish(addon=addon, home=home)
    return addon, {f"{attachment}_URL": url}


@transaction.atomic
def record(*, actor: Actor, app: App, home: Path, attachment: str, name: str = "", confirmed: bool = False) -> Addon:
    """The row of a database that is still to be made, in state provisioning, with its first attachment.

    ``confirmed``: the attachment may be taken from another add-on; else UserError with id confirmation_required.
    """
    token = ids.new_secret(6)
    data = {"database": f"d{token}", "role": f"u{token}"}
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


def build(*, addon: Addon, home: Path) -> str:
    """Make role and database as the row says. Repeatable. Returns the URL."""
    url = url_of(addon, home)
    with host.connect() as connection:
        host.make_role(connection, addon.data["role"], url.password)
        host.make_database(connection, addon.data["database"], addon.data["role"])
    return url.text


def finish(*, addon: Addon, home: Path) -> str:
    """The same, and mark it provisioned."""
    text = build(addon=addon, home=home)
    Addon.objects.filter(pk=addon.pk).update(state="provisioned")
    addon.state = "provisioned"
    return text


def deprovision(*, addon: Addon) -> None:
    """Drop the database with its copies, and the role. The row is removed by the caller, with the app or alone."""
    with host.connect() as connection:
        for name in host.databases_under(connection, addon.data["database"] + "_"):
            host.drop_database(connection, name)
        host.drop_database(connection, addon.data["database"])
        host.drop_role(connection, addon.data["role"])


def make_throwaway(*, label: str) -> Throwaway:
    """An empty database of a role with CREATEDB. The same label gives the same names and a new password."""
    name = _throwaway_name(label)
    password = ids.new_secret(16)
    with host.connect() as connection:
        host.make_role(connection, name, password, createdb=True)
        host.let_into_postgres(connection, name)
        if not host.database_exists(connection, name):
            host.make_database(connection, name, name)
    return Throwaway(name=name, url=host_url(name, password, name))


def drop_throwaway(*, label: str) -> None:
    """Drop what ``make_throwaway`` made, and every database that its role made. Unknown label: nothing."""
    name = _throwaway_name(label)
    with host.connect() as connection:
        host.drop_database(connection, name)
        host.drop_role(connection, name)


def _throwaway_name(label: str) -> str:
    return "t" + hashlib.sha256(label.encode()).hexdigest()[:20]


def host_url(role: str, password: str, database: str) -> str:
    """``postgres://role:password@host:port/database`` for the server that holds the apps' databases."""
    return f"postgres://{role}:{password}@{server()}/{database}"
