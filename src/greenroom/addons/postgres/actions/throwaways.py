"""Temporary databases for test runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from greenroom.addons.contract import Double
from greenroom.addons.postgres.actions import limits
from greenroom.addons.postgres.drivers import role_removal
from greenroom.addons.postgres.drivers import server as host
from greenroom.addons.postgres.queries import forward, host_url
from greenroom.addons.postgres.rules import THROWAWAY
from greenroom.apps.models import App
from greenroom.basics import ids

MADE_HERE = (
    "SELECT rolname FROM pg_roles r JOIN pg_auth_members m ON m.roleid = r.oid"
    " WHERE rolname ~ %s AND m.member = (SELECT oid FROM pg_roles WHERE rolname = CURRENT_USER) AND m.admin_option"
)


def make(*, label: str, app: App | None = None) -> Double:
    """An empty database whose role may create further ones, as Django's test runner does.

    The same label gives the same names and a new password.
    """
    name = _name_for(label)
    password = ids.new_secret(16)
    with host.connect() as connection:
        host.make_role(connection, name, password, createdb=True)
        host.set_defaults(connection, name, limits.RUNNING)
        host.let_into_postgres(connection, name)
        if not host.database_exists(connection, name):
            host.make_database(connection, name, name)
    return Double(name=name, values={"_URL": host_url(name, password, name)}, forwards=(forward(),))


def drop(*, label: str) -> None:
    """Drop the label's database and role, and every database that the role created. No effect for an unknown label."""
    _drop(_name_for(label))


def present() -> set[str]:
    """Names of this installation's temporary roles, as ``drop_others`` takes them. Another installation may share the
    server.
    """
    with host.connect() as connection:
        return {name for (name,) in connection.execute(MADE_HERE, [THROWAWAY]).fetchall()}


def drop_others(*, there: set[str], labels: Iterable[str]) -> list[str]:
    """Drop those of ``there`` that belong to none of the labels; returns their names.

    Read the server before the labels: a role created meanwhile is then safe.
    """
    left = sorted(there - {_name_for(label) for label in labels})
    for name in left:
        _drop(name)
    return left


def _drop(name: str) -> None:
    with host.connect() as connection:
        if host.role_exists(connection, name):
            host.lock_out(connection, name)
        host.drop_database(connection, name)
        role_removal.drop_role(connection, name)


def _name_for(label: str) -> str:
    return "t" + hashlib.sha256(label.encode()).hexdigest()[:20]
