"""Throw-away databases for test runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from greenroom.addons.contract import Double
from greenroom.addons.postgres.actions import limits
from greenroom.addons.postgres.drivers import role_removal
from greenroom.addons.postgres.drivers import server as host
from greenroom.addons.postgres.queries import forward, host_url
from greenroom.addons.postgres.rules import THROWAWAY
from greenroom.basics import ids

MADE_HERE = (
    "SELECT rolname FROM pg_roles r JOIN pg_auth_members m ON m.roleid = r.oid"
    " WHERE rolname ~ %s AND m.member = (SELECT oid FROM pg_roles WHERE rolname = CURRENT_USER) AND m.admin_option"
)


def make(*, label: str) -> Double:
    """An empty database of a role that may create further ones, as Django's test runner does. The same label gives the
    same names and a new password.
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
    """Drop what ``make`` made, and every database that its role made. Unknown label: nothing."""
    _drop(_name_for(label))


def present() -> set[str]:
    """Names of the throw-away roles that this installation has made, which a server may share with another one;
    ``drop_others`` takes them.
    """
    with host.connect() as connection:
        return {name for (name,) in connection.execute(MADE_HERE, [THROWAWAY]).fetchall()}


def drop_others(*, there: set[str], labels: Iterable[str]) -> list[str]:
    """Drop those of ``there`` that were made for none of the labels; their names. Ask the server before the labels: a
    new one is in none of both.
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
