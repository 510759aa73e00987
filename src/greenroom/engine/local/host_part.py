"""The local engine's part of the host: the supervisor, and one shim for each dyno."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

from greenroom.basics import unixsock
from greenroom.basics.processes import Identity, send_signal, wait_gone
from greenroom.engine.host_part import HostSettings, Program, Say
from greenroom.engine.local import cgroups, gateway, plan, protocol, signals, state_reader

SHIM = b"greenroom.engine.local import shim"
"""Part of the command line of a shim."""
GRACE = 35.0


class LocalHostPart:
    """A HostPart."""

    program: Program | None = Program(name="supervisor", module="greenroom.engine.local.supervisor")
    folders: tuple[str, ...] = (plan.DYNOS, plan.SCRATCH)

    def argv(self, home: Path, settings: HostSettings) -> tuple[str, ...]:
        """The command that starts the supervisor."""
        argv = [sys.executable, "-m", "greenroom.engine.local.supervisor", "--home", str(home)]
        argv += [word for path in settings.readable for word in ("--allow", str(path))]
        argv += ["--tcp", settings.tcp] if settings.tcp else []
        argv += [word for network in settings.networks for word in ("--open", network)]
        argv += ["--proxy"] if settings.proxy else []
        return (*argv, *(["--group", str(settings.gid)] if settings.gid >= 0 else []))

    def answers(self, home: Path) -> bool:
        """Whether the supervisor accepts connections."""
        try:
            unixsock.connect(home / protocol.SOCKET, timeout=1.0).close()
        except OSError:
            return False
        return True

    def dynos(self, home: Path) -> dict[str, Identity]:
        """Dyno id -> its running shim, read from the run folder without the supervisor."""
        found = {}
        for dyno in state_reader.all_ids(str(home)):
            with contextlib.suppress(OSError, ValueError, TypeError):
                values = state_reader.raw(str(home), dyno)
                who = state_reader.shim(values) if values and values.get("phase") != "exited" else None
                if who and SHIM in Path(f"/proc/{who.pid}/cmdline").read_bytes():
                    found[dyno] = who
        return found

    def end_dynos(self, home: Path, say: Say) -> bool:
        """Stop all dynos without a supervisor: the same signals, then SIGKILL. True if any was running."""
        living = list(self.dynos(home).values())
        if not living:
            return False
        say(f"stopping {len(living)} dyno{'s' if len(living) > 1 else ''} without the supervisor")
        for number, seconds in ((signals.STOP, GRACE), (signals.KILL, 5.0), (signal.SIGKILL, 5.0)):
            for who in living:
                send_signal(who, number)
            living = wait_gone(living, seconds)
        return True

    def without_gateway(self) -> str:
        """See HostPart."""
        return gateway.lacking(root=os.geteuid() == 0)

    def server_group(self, home: Path, name: str, memory: int) -> tuple[str, ...]:
        """See HostPart."""
        try:
            return tuple(cgroups.find(str(home)).server(name, memory))
        except cgroups.UnavailableError:
            return ()

    def remove_server_group(self, home: Path, name: str) -> None:
        """See HostPart."""
        with contextlib.suppress(cgroups.UnavailableError):
            groups = cgroups.find(str(home))
            groups.remove(name)
            groups.dissolve()
