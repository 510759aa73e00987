"""Copies of an app's database for rehearsals: each has its own role without access to other databases, and is always
dropped.
"""

from __future__ import annotations

import re
from pathlib import Path

from greenroom.addons.contract import Copy
from greenroom.addons.models import Addon
from greenroom.addons.postgres.drivers import dumps, roles, server
from greenroom.addons.postgres.queries import host_url
from greenroom.addons.rules.access import APP, OWNER
from greenroom.basics import ids

MARK = "_rehearsal_"
BARE = "_bare"
LESSER = "|".join(f"_{kind}" for kind in roles.LESSER)
PATTERN = rf"^d[0-9a-f]{{12}}{MARK}[0-9]+({BARE}|{LESSER})?$"


def name_for(addon: Addon, number: int) -> str:
    """The clone's name. It starts with the database's name, so that it is dropped with the database."""
    return f"{addon.data['database']}{MARK}{number}"


def make(*, addon: Addon, name: str, folder: Path, deadline: float) -> Copy:
    """Copy the present database; an existing one of that name is dropped first.

    ``deadline``: seconds for the dump and for the load, each. The dump goes to a temporary file in ``folder``.
    PlatformError if the disk is too full or the deadline passes.
    """
    drop(name=name)
    file = folder / f"{name}.dump"
    try:
        made = dumps.dump(database=addon.data["database"], target=file, deadline=deadline, gently=True)
        password = ids.new_secret(16)
        with server.connect() as connection:
            roles.make(connection, name, password)
        seconds = dumps.load(source=file, database=name, role=name, deadline=deadline, gently=True)
    finally:
        file.unlink(missing_ok=True)
    url, app_url = (host_url(roles.name(name, kind), roles.password(password, kind), name) for kind in (OWNER, APP))
    return Copy(name, url, app_url, round(made.seconds, 3), round(seconds, 3), made.facts.bytes, made.contents.tables)


def keep_schema(*, clone: Copy, target: Path, deadline: float) -> None:
    """Dump the copy's present schema, without rows, to a file for ``make_bare``."""
    dumps.dump(database=clone.name, target=target, deadline=deadline, gently=True, schema_only=True)


def make_bare(*, clone: Copy, source: Path, deadline: float) -> str:
    """A database with a dumped schema and no rows, for tests that write; returns its URL. The clone's role owns it.

    At most one exists for each clone. ``drop`` of the clone also drops it.
    """
    name = clone.name + BARE
    with server.connect() as connection:
        server.drop_database(connection, name)
    dumps.load(source=source, database=name, role=clone.name, deadline=deadline, gently=True)
    return clone.url.removesuffix(clone.name) + name


def drop(*, name: str) -> None:
    """End its sessions and drop database, bare copy and role; no effect if there are none."""
    role = _plain(name)
    with server.connect() as connection:
        server.end_sessions(connection, role=role)
        for database in (role, role + BARE):
            server.drop_database(connection, database)
        roles.drop(connection, role)


def present() -> set[str]:
    """Names of the clones that have a database or a role on the server."""
    with server.connect() as connection:
        return {_plain(name) for name in server.names_like(connection, PATTERN)}


def _plain(name: str) -> str:
    """The clone's name, from the name of its bare copy or role."""
    return re.sub(rf"({BARE}|{LESSER})$", "", name)
