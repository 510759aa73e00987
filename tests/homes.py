"""Resources of each test process, also in parallel runs: temporary folders, its home, its server."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path


def folder(prefix: str) -> Path:
    """A temporary folder that is removed when this process ends."""
    path, mine = tempfile.mkdtemp(prefix=prefix), os.getpid()
    atexit.register(lambda: os.getpid() == mine and shutil.rmtree(path, ignore_errors=True))
    return Path(path)


def own(variable: str, make: Callable[[], str], *, shared: bool = False) -> str:
    """This test process's value of the variable, made if necessary; a parallel worker does not use an inherited one.

    A value set from outside is kept if ``shared``. Otherwise it is not used: it may be the home of an installation,
    which tests would damage.
    """
    worker, mark = os.environ.get("PYTEST_XDIST_WORKER", ""), f"{variable}_OF_TEST_WORKER"
    if variable in os.environ and os.environ.get(mark, worker if shared else None) == worker:
        return os.environ[variable]
    os.environ[mark] = worker
    return make()


def hands_out() -> bool:
    """Whether this process runs no tests itself but distributes them to workers (``pytest -n 2``)."""
    words = " ".join(["", *sys.argv[1:], ""])
    asked = re.search(r" (?:-n|--numprocesses)(?![ =]?0 )", words)
    return bool(asked) and "PYTEST_XDIST_WORKER" not in os.environ


def is_own(variable: str) -> bool:
    """Whether ``own`` made the value; otherwise it was set from outside."""
    return f"{variable}_OF_TEST_WORKER" in os.environ
