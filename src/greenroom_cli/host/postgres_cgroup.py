"""The cgroup of the embedded PostgreSQL: one memory limit for the postmaster and all its backends (root mode only)."""

from __future__ import annotations

import contextlib
from pathlib import Path

SERVER = "_postgres"
KEPT = "-900"
"""oom_score_adj of the postmaster. PostgreSQL resets it to 0 in its backends, so the OOM killer chooses a backend."""


def of_postgres(home: Path, limit: int) -> tuple[str, ...]:
    """Create the server's cgroup, limited to ``limit`` bytes; returns its ``cgroup.procs`` files, if there are any."""
    from greenroom_cli.host.home import engine_part

    try:
        return engine_part(home).server_group(home, SERVER, limit)
    except OSError:
        return ()


def enter(pid: int, files: tuple[str, ...]) -> None:
    """Move a started process into the cgroup and protect it from the OOM killer."""
    for file in files:
        with contextlib.suppress(OSError):
            Path(file).write_text(str(pid))
    if files:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/oom_score_adj").write_text(KEPT)


def remove(home: Path) -> None:
    """Remove the server's cgroup after it has ended, and the home's cgroup if it is empty."""
    from greenroom_cli.host.home import engine_part

    with contextlib.suppress(OSError):
        engine_part(home).remove_server_group(home, SERVER)
