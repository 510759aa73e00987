"""Downloads in the background: one at a time of each kind, shared by the builds that wait for it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from pathlib import Path

PATIENCE = 0.3
"""Seconds that one call may wait for the end of the download."""
AGAIN = 3600.0


def allowed(setting: str) -> bool:
    """Whether the worker's environment variable of that name allows downloads."""
    return os.environ.get(setting, "").lower() not in ("never", "0", "false", "no")


class Downloads:
    """The downloads of one kind. A failed version is not retried for AGAIN seconds.

    The lock guards ``running`` and ``failed``: threads of deliveries and test runs may wait for the same version.
    """

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.lock = threading.Lock()
        self.pool = pool
        self.running: dict[tuple[Path, str], Future[str]] = {}
        self.failed: dict[tuple[Path, str], tuple[float, str]] = {}

    def why_not(self, home: Path, version: str) -> str:
        """Why the download of this version failed recently; empty if it was not tried or may be retried."""
        moment, why = self.failed.get((home, version), (0.0, ""))
        return why if time.monotonic() - moment < AGAIN else ""

    def fetch(self, home: Path, version: str, install: Callable[[], str]) -> bool:
        """Start ``install``, which returns its error or '', unless it runs. True if it has ended; see ``why_not`` for
        the error. May start again after a crash.
        """
        key = (home, version)
        with self.lock:
            future = self.running.get(key) or self.pool.submit(install)
            self.running[key] = future
        try:
            why = future.result(timeout=PATIENCE)
        except StillRunning:
            return False
        with self.lock:
            if self.running.get(key) is future:  # the first waiting thread removes it; another one may be running
                del self.running[key]
                if why:
                    self.failed[key] = (time.monotonic(), why)
                else:
                    self.failed.pop(key, None)
        return True
