"""``greenroom down``: stops the control plane, dynos, supervisor, Caddy and PostgreSQL, in that order."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from greenroom_cli.host import engine_processes, postgres_cgroup, processes, unlisted_processes

ORDER = {
    "worker": (signal.SIGTERM, 8),
    "web": (signal.SIGTERM, 8),
    "supervisor": (signal.SIGTERM, 8),
    "caddy": (signal.SIGTERM, 8),
    "postgres": (signal.SIGINT, 20),
}
"""name -> (stop signal, seconds until SIGKILL), in stop order. Dynos are stopped before their supervisor."""


def take_down(home: Path, say: Callable[[str], None]) -> bool:
    """Stop all processes of the installation, with or without a pid file; True if any was running. Repeatable."""
    ran = False
    found = unlisted_processes.components(home)
    for name in ORDER:
        if name == "supervisor":
            ran = _dynos(home, say) or ran
        ran = end_component(home, name, found.get(name, []), say) or ran
    postgres_cgroup.remove(home)
    processes.forget(processes.pid_file(home, "host"))
    return ran


def end_component(home: Path, name: str, found: list[processes.Identity], say: Callable[[str], None]) -> bool:
    """Stop a component, and the other processes ``found`` of the same name. True if any was running."""
    number, seconds = ORDER[name]
    ran = processes.stop(home, name, number, seconds)
    left = [who for who in found if processes.is_alive(who)]
    if left:
        say(f"{name}: stopping {len(left)} more, pid {', '.join(str(who.pid) for who in left)}")
        processes.end(left, number, seconds)
    return ran or bool(left)


def _dynos(home: Path, say: Callable[[str], None]) -> bool:
    """Stop all dynos concurrently, kill those that do not end, and forget them. Without a supervisor, signal their
    shims.
    """
    if processes.known(home, "supervisor") is None:
        return engine_processes.end_shims(home, say)
    from greenroom.basics.errors import GreenroomError

    try:
        engine_processes.stop_dynos(home, say)
    except GreenroomError as error:
        say(f"dynos: {error.message}")
        engine_processes.end_shims(home, say)
    return True
