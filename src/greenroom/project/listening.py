"""NOTIFY of PostgreSQL: the connection's parameters, and the web process's listener for lost access."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import psycopg

log = logging.getLogger(__name__)
TROUBLE = 1.0
"""Seconds before the next attempt to connect."""


def parameters() -> dict[str, Any]:
    """The parameters of a connection of its own to the control plane's database."""
    from django.conf import settings

    own = settings.DATABASES["default"]
    return {
        "host": own["HOST"],
        "port": own["PORT"] or 5432,
        "user": own["USER"],
        "password": own["PASSWORD"],
        "dbname": own["NAME"],
        **{key: value for key, value in own["OPTIONS"].items() if key != "pool"},
    }


async def listen(channel: str, heard: Callable[[], object]) -> None:
    """Call ``heard`` on each NOTIFY of the channel and after each connect, because one may have been missed. Runs
    until cancelled.
    """
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(**parameters(), autocommit=True) as connection:
                await connection.execute(f"LISTEN {channel}".encode())
                heard()
                async for _ in connection.notifies():
                    heard()
        except psycopg.Error as error:
            log.warning("LISTEN %s failed: %s", channel, error)
        await asyncio.sleep(TROUBLE)
