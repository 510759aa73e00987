"""``greenroom upgrade``: the code on disk is new; its version takes over from the running one.

Order: dump of the control database, rehearsal of the migrations on a copy, end of the host process, worker and web,
another dump with what was recorded until then, migration, end of the engine's program, start of everything by ``up``.
Dynos, Caddy and PostgreSQL keep running. This process holds web's ports meanwhile, so that connections wait. Each step
can be repeated after a kill.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from greenroom.basics import backup_record, handover
from greenroom_cli.host import (
    backup,
    code,
    engine_processes,
    locks,
    mount_namespace,
    postgres_choice,
    processes,
    unlisted_processes,
    up,
)
from greenroom_cli.host import ports as port_rows
from greenroom_cli.host.components import needed_paths, table
from greenroom_cli.host.down import end_component
from greenroom_cli.host.errors import HostError
from greenroom_cli.host.home import Installation

MODULE = "greenroom.project.upgrading"
FOLDER = f"{backup_record.FOLDER}/upgrades"
KEEP = 5
TAKEOVER_SECONDS = 30.0
"""How long a host process that was started in the foreground is left to its service manager."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """The steps of an upgrade. before, after: versions of the code. dump: the file to go back to, else empty."""

    before: code.Code
    after: code.Code
    pending: tuple[str, ...]
    unknown: tuple[str, ...]
    dump: str = ""

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)

    def text(self) -> str:
        """For people."""
        lines = [f"Greenroom {self.before} -> {self.after}"]
        if self.dump:
            lines += [f"The control database goes back to {self.dump}.", "Everything that was recorded since is lost:"]
            lines += ["  pushes, releases, config changes and accounts; the data of apps stays."]
        elif self.pending:
            lines += [f"{len(self.pending)} migrations of Greenroom's own database:", *(f"  {x}" for x in self.pending)]
        else:
            lines.append("No migration of Greenroom's own database is pending.")
        lines.append(
            "Web, worker, the engine's program and the host process restart; dynos, Caddy and PostgreSQL stay."
        )
        return "\n".join(lines)


def plan(home: Path, install: Installation, *, back: bool) -> Plan:
    """The plan for the code on disk. HostError if PostgreSQL is down, or the database is of a newer version."""
    postgres_choice.use(install.postgres_bin)
    if install.postgres == "embedded" and processes.known(home, "postgres") is None:
        raise HostError("Greenroom is down: nothing has to take over.", f"greenroom up --home {home} --detach")
    _enter(home, install)
    found = _child(home, install, {"do": "pending"})
    dump = _last_dump(home) if back else ""
    if found["unknown"] and not back:
        raise HostError(
            f"The control database is of a newer version: it has the migration {found['unknown'][-1]}.",
            "install that version again, or go back to the state before the last upgrade: greenroom upgrade --back",
        )
    after = code.installed()
    return Plan(code.running(home), after, tuple(found["pending"]), tuple(found["unknown"]), dump)


def _enter(home: Path, install: Installation) -> None:
    if install.mode == "root":
        mount_namespace.put_on([home, *needed_paths()])


def _last_dump(home: Path) -> str:
    found = sorted((home / FOLDER).glob("*.dump"))
    if not found:
        raise HostError("There is no dump of an earlier upgrade to go back to.", f"greenroom backup --home {home}")
    return str(found[-1])


def run(home: Path, install: Installation, planned: Plan, say: Say) -> dict[str, Any]:
    """Carry the plan out; returns {version, digest, migrations, seconds, dump}. HostError; the apps keep running."""
    lock: int | None = locks.take(home, up.UPGRADE)
    if lock is None:
        raise HostError("Another upgrade of this installation is running.", f"greenroom status --home {home}")
    try:
        dump = planned.dump or _dump(home, install, lock, say)
        if planned.pending and not planned.dump:
            _child(home, install, {"do": "rehearse", "path": dump}, lock)
            say(f"rehearsed {len(planned.pending)} migrations on a copy of the control database")
        with _held_ports(home, install, say):
            began = time.monotonic()
            managed, dump = _replace(home, install, planned, dump, lock, say)
            os.close(lock)  # the next host process waits for it
            lock = None
            if not (managed and _taken_over(home, install, say)):
                up.up(home, install, detached=True, upgrading=True)
            seconds = round(time.monotonic() - began, 1)
    finally:
        if lock is not None:
            os.close(lock)
    say("web, worker, the engine's program and the host process run the new version")
    after = code.installed()
    return {
        "version": after.version,
        "digest": after.digest,
        "migrations": list(planned.pending),
        "seconds": seconds,
        "dump": dump,
    }


def _dump(home: Path, install: Installation, lock: int, say: Say) -> str:
    """Dump the control database; keeps the newest few dumps."""
    owner = backup.owner_of(install)
    for name in (backup_record.FOLDER, FOLDER):
        backup.own_folder(home / name, owner)
    path = home / FOLDER / time.strftime("%Y%m%dT%H%M%SZ.dump", time.gmtime())
    found = _child(home, install, {"do": "dump", "path": str(path)}, lock)
    say(f"control database saved as {path}, {found['bytes'] / 1e6:.1f} MB")
    for old in sorted((home / FOLDER).glob("*.dump"))[:-KEEP]:
        old.unlink(missing_ok=True)
    for left in (home / FOLDER).glob("*.part"):
        left.unlink(missing_ok=True)
    return str(path)


@contextlib.contextmanager
def _held_ports(home: Path, install: Installation, say: Say) -> Iterator[None]:
    """Hold web's ports until the block ends. Without the right to copy them, connections are refused meanwhile."""
    web = processes.known(home, "web")
    numbers = [port.number for port in port_rows.wanted(install) if port.owner == "web" and port.name != "proxy"]
    try:
        sockets = handover.of_process(web.pid, numbers) if web else []
    except OSError as error:
        say(f"the ports cannot be held ({error.strerror}): connections are refused for some seconds")
        sockets = []
    try:
        if sockets:
            with handover.offered(home, sockets, backup.owner_of(install)):
                yield
        else:
            yield
    finally:
        handover.close(sockets)


def _replace(home: Path, install: Installation, planned: Plan, dump: str, lock: int, say: Say) -> tuple[bool, str]:
    """End the old version, and migrate. Returns whether a service manager may start the host process again, and the
    dump to go back to.
    """
    old = processes.known(home, up.HOST)
    managed = old is not None and not _is_detached(home, old.pid)
    if old:
        processes.end([old], signal.SIGKILL, 5)  # SIGTERM would stop the dynos, too
    guard = _host_lock(home)
    try:
        for name in ("worker", "web"):
            _end(home, name, say)
        if planned.pending and not planned.dump:  # what was recorded since the first dump must not be lost
            before, dump = dump, _dump(home, install, lock, say)
            if before != dump:
                Path(before).unlink(missing_ok=True)
        _change(home, install, planned, dump, lock, say)
        program = engine_processes.part(install.engine).program
        if program:
            _end(home, program.name, say)
    finally:
        os.close(guard)
        processes.forget(processes.pid_file(home, up.HOST))
    return managed, dump


def _host_lock(home: Path) -> int:
    """The lock of the host process, so that nobody starts one during the upgrade. HostError."""
    deadline = time.monotonic() + 5
    while (lock := locks.take(home, up.HOST)) is None:
        if time.monotonic() > deadline:
            raise HostError(f"Another process is starting Greenroom in {home}.", f"greenroom status --home {home}")
        time.sleep(0.05)
    return lock


def _end(home: Path, name: str, say: Say) -> None:
    if end_component(home, name, unlisted_processes.components(home).get(name, []), say):
        say(f"{name}: stopped")


def _change(home: Path, install: Installation, planned: Plan, dump: str, lock: int, say: Say) -> None:
    """Migrate, or go back. If the migration fails, the control database gets its old content again. HostError."""
    if planned.dump:
        _child(home, install, {"do": "back", "path": planned.dump}, lock)
        say(f"control database: as in {planned.dump}")
        return
    if not planned.pending:
        return
    try:
        _child(home, install, {"do": "migrate"}, lock)
        say(f"control database: {len(planned.pending)} migrations applied")
    except HostError as error:
        _child(home, install, {"do": "back", "path": dump}, lock)
        raise HostError(
            f"A migration of Greenroom's own database failed, and the database is as before: {error.message}\n"
            "The apps keep running; Greenroom's API is down.",
            f"install the previous version again, then: greenroom up --home {home} --detach",
        ) from error


def _is_detached(home: Path, pid: int) -> bool:
    """Whether the host process writes to its own log, as after ``up --detach``."""
    with contextlib.suppress(OSError):
        return os.path.samefile(f"/proc/{pid}/fd/1", home / "logs" / "host.log")
    return False


def _taken_over(home: Path, install: Installation, say: Say) -> bool:
    """Whether a service manager has started the host process again, and all components are ready. HostError if they do
    not become ready.
    """
    say("waiting for the service manager, which starts the host process again")
    deadline = time.monotonic() + TAKEOVER_SECONDS
    while processes.known(home, up.HOST) is None:
        if time.monotonic() > deadline:
            say("no service manager has started it; it runs in the background from now on")
            return False
        time.sleep(0.2)
    deadline = time.monotonic() + up.UP_SECONDS
    waiting = [row for row in table(home, install) if row.name != "postgres"]
    while waiting := [row for row in waiting if processes.known(home, row.name) is None or not row.ready()]:
        if time.monotonic() > deadline:
            name = waiting[0].name
            raise HostError(f"{name} does not become ready.", f"see {home}/logs/{name}.log and the service's log")
        time.sleep(0.2)
    return True


def _child(home: Path, install: Installation, task: dict[str, Any], lock: int | None = None) -> dict[str, Any]:
    return backup.run_as_control(home, install, MODULE, task, lock)
