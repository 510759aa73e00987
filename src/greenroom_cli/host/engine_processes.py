"""Processes of the local engine for the host commands: the supervisor, and one shim for each dyno.

No other module of the command line knows an engine.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from greenroom.basics.processes import Identity, send_signal, wait_gone

if TYPE_CHECKING:
    from greenroom.engine.local.cgroups import Groups

SUPERVISOR = "greenroom.engine.local.supervisor"
"""The module of the supervisor's process."""
SHIM = b"greenroom.engine.local import shim"
"""Part of the command line of a shim."""
GRACE = 35.0


def supervisor_argv(home: Path, *, readable: Iterable[Path], tcp: str, networks: Iterable[str], gid: int) -> list[str]:
    """The command that starts the supervisor. readable: folders outside of home that dynos may read.

    tcp: the address that forwards may connect to, or ''. networks: private networks that dynos may connect to. gid: the
    group of the control plane; -1 without root.
    """
    argv = [sys.executable, "-m", SUPERVISOR, "--home", str(home)]
    argv += [word for path in readable for word in ("--allow", str(path))]
    argv += ["--tcp", tcp] if tcp else []
    argv += [word for network in networks for word in ("--open", network)]
    return argv + (["--group", str(gid)] if gid >= 0 else [])


def folders() -> tuple[str, ...]:
    """The folders of the supervisor, relative to home."""
    from greenroom.engine.local import plan

    return (plan.DYNOS, plan.SCRATCH)


def socket(home: Path) -> Path:
    """The socket of the supervisor."""
    from greenroom.engine.local import protocol

    return home / protocol.SOCKET


def groups(home: Path) -> Groups | None:
    """The cgroups of this home; None on a host without cgroups. Raises OSError."""
    from greenroom.engine.local import cgroups

    try:
        return cgroups.find(str(home))
    except cgroups.UnavailableError:
        return None


def shims(home: Path) -> dict[str, Identity]:
    """dyno id -> its running shim, read from the run folder without the supervisor."""
    from greenroom.engine.local import state_reader

    found = {}
    for dyno in state_reader.all_ids(str(home)):
        with contextlib.suppress(OSError, ValueError, TypeError):
            values = state_reader.raw(str(home), dyno)
            who = state_reader.shim(values) if values and values.get("phase") != "exited" else None
            if who and SHIM in Path(f"/proc/{who.pid}/cmdline").read_bytes():
                found[dyno] = who
    return found


def end_shims(home: Path, say: Callable[[str], None]) -> bool:
    """Stop all dynos without a supervisor: the same signals, then SIGKILL. True if any was running."""
    from greenroom.engine.local import signals

    living = list(shims(home).values())
    if not living:
        return False
    say(f"stopping {len(living)} dyno{'s' if len(living) > 1 else ''} without the supervisor")
    for number, seconds in ((signals.STOP, GRACE), (signals.KILL, 5.0), (signal.SIGKILL, 5.0)):
        for who in living:
            send_signal(who, number)
        living = wait_gone(living, seconds)
    return True


def stop_dynos(home: Path, say: Callable[[str], None]) -> None:
    """Stop all dynos through the supervisor, kill those that do not exit, and forget them. Raises GreenroomError."""
    from greenroom.engine.local.client import LocalEngine

    engine = LocalEngine(home)
    living = [state.id for state in engine.list() if not state.ended]
    if living:
        say(f"stopping {len(living)} dyno{'s' if len(living) > 1 else ''}")
    for dyno in living:
        engine.signal(dyno, "STOP")
    deadline = time.monotonic() + GRACE
    while living and time.monotonic() < deadline:
        living = [dyno for dyno in living if (seen := engine.describe(dyno)) and not seen.ended]
        time.sleep(0.05)
    for state in engine.list():
        engine.forget(state.id)
