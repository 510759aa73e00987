"""The long-running part of the host process: replaces ``up`` by exec, to free the memory of its libraries.

It receives the components as JSON through a file descriptor, because their environments contain secrets.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

from greenroom_cli.host import restarter
from greenroom_cli.host.started_component import StartedComponent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from greenroom_cli.host.component import Component

PASSED_ON = ("name", "argv", "env", "user", "group", "locks_itself")
STOPPING = {signal.SIGTERM, signal.SIGINT, signal.SIGUSR1}
"""SIGUSR1, the stop signal of the systemd unit, leaves the dynos, Caddy and PostgreSQL running."""


def say(text: str) -> None:
    """Write a progress line to stderr; errors of a full disk or a closed terminal are ignored."""
    line = f"{time.strftime('%H:%M:%S')} {text}\n".encode(errors="replace")
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno() if sys.stderr else 2, line)


def become(home: Path, components: list[Component]) -> NoReturn:
    """Replace this process by exec. Its pid, children and mount namespace stay; pending signals are not lost."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    rows = [{name: getattr(it, name) for name in PASSED_ON} for it in components]
    fd = os.memfd_create("components", 0)
    os.write(fd, json.dumps(rows).encode())
    os.lseek(fd, 0, os.SEEK_SET)
    sys.stderr.flush()
    argv = [sys.executable, "-m", "greenroom_cli.host.watch", str(home), str(fd)]
    os.execv(sys.executable, argv)  # noqa: S606 (argv, no shell)


def main(argv: list[str]) -> int:
    """Watch until SIGTERM or SIGINT, then stop everything; until SIGUSR1, then stop the control plane."""
    home = Path(argv[1])
    with os.fdopen(int(argv[2]), "rb") as file:
        components = [StartedComponent(**row) for row in json.load(file)]
    watcher = restarter.Restarter(home, components, say)
    watcher.run(ready=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING))
    if watcher.leaving:
        from greenroom_cli.host.down import take_control_plane_down

        say("stopping: worker, web; dynos, Caddy and PostgreSQL keep running")
        take_control_plane_down(home, say)
        return 0
    engine = [it.name for it in components if it.name not in ("postgres", "caddy", "web", "worker")]
    say(f"stopping: {', '.join(['web', 'worker', 'dynos', *engine, 'Caddy', 'PostgreSQL'])}")
    from greenroom_cli.host.down import take_down

    take_down(home, say)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
