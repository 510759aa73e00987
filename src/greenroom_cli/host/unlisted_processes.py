"""Finds components of a home that have no pid file, by their command lines.

A process counts as a component only if its command line matches, if the home folder is in its command line or
environment, if it belongs to a user of Greenroom, and if it is outside of every sandbox: tenants choose their own
command lines.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from greenroom.basics.processes import Identity, identity
from greenroom_cli.host import users
from greenroom_cli.host.home import CONTROL_USER, POSTGRES_USER, engine_part

MODULES = {
    b"greenroom.project.web": "web",
    b"greenroom.project.worker": "worker",
    b"greenroom_cli.host.watch": "host",
}
"""Module -> component. The engine's program is added to them."""


def components(home: Path) -> dict[str, list[Identity]]:
    """name -> running processes of this home, oldest first, without the children of PostgreSQL and web."""
    found: dict[str, list[Identity]] = {}
    program = engine_part(home).program
    modules = MODULES | ({program.module.encode(): program.name} if program else {})
    names, uids = {os.fsencode(home), os.fsencode(home.resolve())}, _uids(home)
    for number in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            process = Path("/proc") / number
            name = _component(process, names, modules)
            who = identity(int(number)) if name and int(number) != os.getpid() else None
            if who and _is_ours(process, uids):
                found.setdefault(name, []).append(who)
    return {name: sorted(rows, key=lambda who: (who.started, who.pid)) for name, rows in found.items()}


def _component(process: Path, home: set[bytes], modules: Mapping[bytes, str]) -> str:
    """The component name of a process of this home; '' for any other process. home: the folder's possible paths."""
    argv = (process / "cmdline").read_bytes().split(b"\0")[:-1]
    if len(argv) < 3:
        return ""
    name = modules.get(argv[2], "") if argv[1] == b"-m" else ""
    if name and name not in ("web", "worker"):
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
