"""Thread pools for database and git calls, separate from those of the rest of the web process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from django.db import close_old_connections

T = TypeVar("T")

_quick = ThreadPoolExecutor(4, thread_name_prefix="git-quick")
_long = ThreadPoolExecutor(4, thread_name_prefix="git-long")


async def in_thread(function: Callable[..., T], *args: Any, **options: Any) -> T:
    """Run a short query in a thread, then release its database connection."""
    return await asyncio.get_running_loop().run_in_executor(_quick, partial(_clean, function, *args, **options))


async def in_long_thread(function: Callable[..., T], *args: Any, **options: Any) -> T:
    """Like ``in_thread``, in a separate pool for slow calls (inspecting a push), so that these do not delay queries."""
    return await asyncio.get_running_loop().run_in_executor(_long, partial(_clean, function, *args, **options))


def _clean(function: Callable[..., T], *args: Any, **options: Any) -> T:
    close_old_connections()
    try:
        return function(*args, **options)
    finally:
        close_old_connections()
