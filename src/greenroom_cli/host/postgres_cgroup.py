"""The control group of the embedded PostgreSQL: one memory limit for the postmaster and all its backends. Root mode
only.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from greenroom_cli.host import engine_processes

SERVER = "_postgres"
KEPT = "-900"
"""oom_score_adj of the postmaster: when the group is full the kernel ends a backend, whose own value PostgreSQL sets
back to 0.
"""


def of_postgres(home: Path, limit: int) -> tuple[str, ...]:
    """Make the server's group with a limit of so many bytes; the files into which its process is written. None where
    there are no groups.
    """
    try:
        found = engine_processes.groups(home)
        return tuple(found.server(SERVER, limit)) if found else ()
    except OSError:
        return ()


def enter(pid: int, files: tuple[str, ...]) -> None:
    """Move a process that has just been started into the group, and keep it from being chosen first when memory is
    short.
    """
    for file in files:
        with contextlib.suppress(OSError):
            Path(file).write_text(str(pid))
    if files:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/oom_score_adj").write_text(KEPT)


def remove(home: Path) -> None:
    """Remove the server's group after it has ended, and the home's own when nothing else is in it."""
    with contextlib.suppress(OSError):
        if found := engine_processes.groups(home):
            found.remove(SERVER)
            found.dissolve()
