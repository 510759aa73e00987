"""Components of one home that no pid file names, found by their command lines.

A process is a component only if its command line and this home's name in it (or in its environment) say so, if it
belongs to a user of
Greenroom, and if it is outside every sandbox: a tenant chooses its own command line.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from greenroom.basics.processes import Identity, identity
from greenroom_cli.host import engine_processes, users
from greenroom_cli.host.home import CONTROL_USER, POSTGRES_USER

MODULES = {
    b"greenroom.project.web": "web",
    b"greenroom.project.worker": "worker",
    engine_processes.SUPERVISOR.encode(): "supervisor",
    b"greenroom_cli.host.watch": "host",
}


def components(home: Path) -> dict[str, list[Identity]]:
    """name -> living processes of this home, the oldest first. Children of PostgreSQL and of web are not among them."""
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
    """The component that the process is of this home; empty when it is none. home: the folder's names."""
    words = (process / "cmdline").read_bytes().split(b"\0")[:-1]
    if len(words) < 3:
        return ""
    name = MODULES.get(words[2], "") if words[1] == b"-m" else ""
    if name in ("supervisor", "host"):
        return name if home & set(words) else ""
    program = os.path.basename(words[0])
    if program == b"postgres" and words[1] == b"-D":
        return "postgres" if words[2].removesuffix(b"/postgres/data") in home else ""
    if program == b"caddy" and words[1:] == [b"run", b"--config", b"caddy/config.json"]:
        name = "caddy"
    return name if name and _home_of(process) in home else ""


def _uids(home: Path) -> set[int]:
    """The users that run components: root, the owner of the home (who ran ``up`` in development mode), and the two
    system users.
    """
    try:
        owner = home.stat().st_uid
    except FileNotFoundError:
        owner = os.geteuid()
    return {0, owner} | {user.pw_uid for user in map(users.find, (CONTROL_USER, POSTGRES_USER)) if user}


def _is_ours(process: Path, uids: set[int]) -> bool:
    """Whether the process runs as one of these users and outside of a sandbox, whose processes have a second pid there.

    The owner of the folder in /proc proves nothing: it is root for every process that has made itself undumpable.
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
