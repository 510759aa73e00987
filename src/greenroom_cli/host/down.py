"""``greenroom down``: ends control plane, dynos, supervisor, Caddy and PostgreSQL, in that order, and verifies it."""

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
"""name -> (signal that ends it, seconds until KILL), in the order in which components end; dynos end before their
supervisor.
"""


def take_down(home: Path, say: Callable[[str], None]) -> bool:
    """End whatever runs, processes that no pid file names included; True if anything did. Repeatable."""
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
    """End the component and the others of its kind. True if any ran."""
    number, seconds = ORDER[name]
    ran = processes.stop(home, name, number, seconds)
    left = [who for who in found if processes.is_alive(who)]
    if left:
        say(f"{name}: ending {len(left)} more, pid {', '.join(str(who.pid) for who in left)}")
        processes.end(left, number, seconds)
    return ran or bool(left)


def _dynos(home: Path, say: Callable[[str], None]) -> bool:
    """Stop all dynos at once, kill those that do not end, and forget them; without a supervisor they are stopped
    through their shims.
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
