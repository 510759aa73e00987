"""Connections to the platform's own PostgreSQL server, and the locks that it holds for a process until that ends."""

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
    """``host`` and ``port`` of the server as the control plane reaches it."""
    own = settings.DATABASES["default"]
    return {"host": own["HOST"], "port": own["PORT"] or 5432}


@contextmanager
def connect(database: str = "", *, user: str = "", password: str = "") -> Iterator[psycopg.Connection]:
    """An autocommit connection to the platform's database or to another, as the platform's role or another.

    No session takes a name from a tenant's schema, see SAFE. PlatformError when the server does not answer.
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
    """Wait until no other process holds the lock called ``name``. The server releases it when its holder dies."""
    with connect() as connection, alone(connection, name):
        yield


@contextmanager
def alone(connection: psycopg.Connection, name: str) -> Iterator[None]:
    """The same, on an open connection: the server finishes a statement even after its client was killed."""
    connection.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [NAMES, name])
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [NAMES, name])


@contextmanager
def claim(key: uuid.UUID) -> Iterator[bool]:
    """Whether this process alone has the work called ``key``. Released at the end, or by the server when the process
    dies.
    """
    number = int.from_bytes(key.bytes[:8], "big", signed=True)
    with connect() as connection:
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", [number]).fetchone()
        yield row == (True,)
