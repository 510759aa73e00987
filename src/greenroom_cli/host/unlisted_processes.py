"""Finds processes of a home that have no pid file: components by their command lines, dynos by their shims.

A process counts as a component only if its command line matches, if the home folder is in its command line or
environment, if it belongs to a user of Greenroom, and if it is outside of every sandbox: tenants choose their own
command lines.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

from greenroom.basics.processes import Identity, identity, send_signal, wait_gone
from greenroom_cli.host import users
from greenroom_cli.host.home import CONTROL_USER, POSTGRES_USER

MODULES = {
    b"greenroom.project.web": "web",
    b"greenroom.project.worker": "worker",
    b"greenroom.engine.local.supervisor": "supervisor",
    b"greenroom_cli.host.watch": "host",
}
SHIM = b"greenroom.engine.local import shim"
GRACE = 35.0


def components(home: Path) -> dict[str, list[Identity]]:
    """name -> running processes of this home, oldest first, without the children of PostgreSQL and web."""
    found: dict[str, list[Identity]] = {}
    names, uids = {os.fsencode(home), os.fsencode(home.resolve())}, _uids(home)
    for number in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            process = Path("/proc") / number
            name = _component(process, names)
            who = identity(int(number)) if name and int(number) != os.getpid() else None
            if who and _is_ours(process, uids):
                found.setdefault(name, []).append(who)
    return {name: sorted(rows, key=lambda who: (who.started, who.pid)) for name, rows in found.items()}


def _component(process: Path, home: set[bytes]) -> str:
    """The component name of a process of this home; '' for any other process. home: the folder's possible paths."""
    argv = (process / "cmdline").read_bytes().split(b"\0")[:-1]
    if len(argv) < 3:
        return ""
    name = MODULES.get(argv[2], "") if argv[1] == b"-m" else ""
    if name in ("supervisor", "host"):
        return name if home & set(argv) else ""
    program = os.path.basename(argv[0])
    if program == b"postgres" and argv[1] == b"-D":
        return "postgres" if argv[2].removesuffix(b"/postgres/data") in home else ""
    if program == b"caddy" and argv[1:] == [b"run", b"--config", b"caddy/config.json"]:
        name = "caddy"
    return name if name and _home_of(process) in home else ""


def _uids(home: Path) -> set[int]:
    """The uids that run components: root, the owner of the home folder, and the two system users."""
    try:
        owner = home.stat().st_uid
    except FileNotFoundError:
        owner = os.geteuid()
    return {0, owner} | {user.pw_uid for user in map(users.find, (CONTROL_USER, POSTGRES_USER)) if user}


def _is_ours(process: Path, uids: set[int]) -> bool:
    """Whether the process runs as one of these users and outside of a sandbox (a pid namespace).

    The owner of the /proc folder is not used: it is root for every undumpable process.
    """
    fields = {}
    for line in (process / "status").read_text(errors="replace").splitlines():
        key, _, values = line.partition(":")
        fields[key] = values.split()
    return {int(uid) for uid in fields["Uid"]} <= uids and len(fields.get("NSpid", ["1"])) == 1


def _home_of(process: Path) -> bytes:
    for line in (process / "environ").read_bytes().split(b"\0"):
        if line.startswith(b"GREENROOM_HOME="):
            return line.partition(b"=")[2]
    return b""


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
