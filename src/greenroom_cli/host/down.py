"""``greenroom down``: stops the control plane, dynos, the engine's program, Caddy and PostgreSQL, in that order."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from pathlib import Path

from greenroom_cli.host import engine_processes, postgres_cgroup, processes, unlisted_processes
from greenroom_cli.host.home import Installation, read

ORDER = {
    "worker": (signal.SIGTERM, 8),
    "web": (signal.SIGTERM, 8),
    "caddy": (signal.SIGTERM, 8),
    "postgres": (signal.SIGINT, 20),
}
"""name -> (stop signal, seconds until SIGKILL), in stop order. After web: dynos, then the engine's program."""
OTHERS = (signal.SIGTERM, 8)
"""For the engine's program."""


def take_down(home: Path, say: Callable[[str], None]) -> bool:
    """Stop all processes of the installation, with or without a pid file; True if any was running. Repeatable."""
    ran = False
    found = unlisted_processes.components(home)
    for name in ORDER:
        if name == "caddy":
            ran = _engine(home, found, say) or ran
        ran = end_component(home, name, found.get(name, []), say) or ran
    postgres_cgroup.remove(home)
    processes.forget(processes.pid_file(home, "host"))
    return ran


def take_control_plane_down(home: Path, say: Callable[[str], None]) -> None:
    """Stop worker, web and the engine's program. Dynos, Caddy and PostgreSQL keep running for the next ``up``."""
    found = unlisted_processes.components(home)
    program = engine_processes.part((read(home) or Installation()).engine).program
    for name in ("worker", "web", *([program.name] if program else [])):
        end_component(home, name, found.get(name, []), say)
    processes.forget(processes.pid_file(home, "host"))


def end_component(home: Path, name: str, found: list[processes.Identity], say: Callable[[str], None]) -> bool:
    """Stop a component, and the other processes ``found`` of the same name. True if any was running."""
    number, seconds = ORDER.get(name, OTHERS)
    ran = processes.stop(home, name, number, seconds)
    left = [who for who in found if processes.is_alive(who)]
    if left:
        say(f"{name}: stopping {len(left)} more, pid {', '.join(str(who.pid) for who in left)}")
        processes.end(left, number, seconds)
    return ran or bool(left)


def _engine(home: Path, found: Mapping[str, list[processes.Identity]], say: Callable[[str], None]) -> bool:
    """Stop all dynos, then the engine's program if it has one."""
    engine = (read(home) or Installation()).engine
    program = engine_processes.part(engine).program
    ran = _dynos(home, engine, program.name if program else "", say)
    return end_component(home, program.name, found.get(program.name, []), say) or ran if program else ran


def _dynos(home: Path, engine: str, program: str, say: Callable[[str], None]) -> bool:
    """Stop all dynos concurrently, kill those that do not end, and forget them. If the engine does not answer, end its
    processes on this machine.
    """
    if program and processes.known(home, program) is None:
        return engine_processes.part(engine).end_dynos(home, say)
    from greenroom.basics.errors import GreenroomError

    try:
        return engine_processes.stop_dynos(home, engine, say) or bool(program)
    except GreenroomError as error:
        say(f"dynos: {error.message}")
        return engine_processes.part(engine).end_dynos(home, say) or bool(program)
