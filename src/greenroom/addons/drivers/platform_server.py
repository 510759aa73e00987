"""Connections to the platform's own PostgreSQL server, and session-level locks, which end with their process."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.conf import settings

from greenroom.basics.database import SAFE
from greenroom.basics.errors import PlatformError

NAMES = 7_402
"""Class of the advisory locks on names."""


def server() -> dict[str, Any]:
    """``host`` and ``port`` of the server, for the control plane."""
    own = settings.DATABASES["default"]
    return {"host": own["HOST"], "port": own["PORT"] or 5432}


@contextmanager
def connect(database: str = "", *, user: str = "", password: str = "") -> Iterator[psycopg.Connection]:
    """An autocommit connection to the platform's database as the platform's role, or to another one or as another role.

    No session resolves names in a tenant's schema, see SAFE. PlatformError if the server does not respond.
    """
    own = settings.DATABASES["default"]
    options = {key: value for key, value in own["OPTIONS"].items() if key != "pool"}
    try:
        connection = psycopg.connect(
            **server(),
            user=user or own["USER"],
            password=password if user else own["PASSWORD"],
            dbname=database or own["NAME"],
            autocommit=True,
            **{"connect_timeout": 10, **options, "options": f"{options.get('options', '')} {SAFE}".strip()},
        )
    except psycopg.OperationalError as error:
        raise PlatformError(f"PostgreSQL does not answer: {error}", hint="greenroom status") from error
    with connection:
        yield connection


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Wait for the exclusive lock ``name``. The server releases it if its holder dies."""
    with connect() as connection, alone(connection, name):
        yield


@contextmanager
def alone(connection: psycopg.Connection, name: str) -> Iterator[None]:
    """Like ``one_at_a_time``, on an open connection: the server finishes a statement even after its client was
    killed.
    """
    connection.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [NAMES, name])
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [NAMES, name])


@contextmanager
def claim(key: uuid.UUID) -> Iterator[bool]:
    """Try to claim the work ``key`` for this process; yields whether it succeeded. Released at the end or on process
    death.
    """
    number = int.from_bytes(key.bytes[:8], "big", signed=True)
    with connect() as connection:
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", [number]).fetchone()
        yield row == (True,)
