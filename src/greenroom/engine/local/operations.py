"""Implements the supervisor's verbs on this host: folders, control groups, shims. Each verb is repeatable and safe to
interrupt.

The supervisor checks the client and the form of a request.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import stat
import threading
import time
from collections.abc import Iterator
from typing import Any

from greenroom.basics.processes import Identity, send_signal, wait_gone
from greenroom.engine import names
from greenroom.engine.contract import DynoSpec
from greenroom.engine.errors import EngineError
from greenroom.engine.local import cgroups, folders, idmap, plan, signals, spawn, state_reader, volume_usage
from greenroom.engine.local.plan import Place

KILL_SECONDS = 5.0


class Operations:
    """Executes the supervisor's requests."""

    def __init__(self, place: Place, groups: cgroups.Groups | None, lacking: str) -> None:
        self._place, self._groups, self._lacking = place, groups, lacking
        self._unmapped = idmap.lacking(place.home) if place.root else ""  # before the first thread
        self._bin = folders.Bin(place)
        self._locks: dict[str, tuple[threading.Lock, int]] = {}
        self._locks_lock = threading.Lock()

    def about(self) -> dict[str, Any]:
        """Status of the supervisor, and features that this host lacks."""
        groups = f"version {self._groups.version}" if self._groups else f"none ({self._lacking})"
        mode = "root: one uid per app" if self._place.root else "development: one uid for all apps"
        it = {"pid": os.getpid(), "mode": mode, "root": self._place.root, "cgroups": groups, "bwrap": self._place.bwrap}
        return it | {"problems": self._problems()}

    def _problems(self) -> list[str]:
        found = [f"there are no control groups: {self._lacking}"] if self._lacking else []
        if self._place.proxy not in ("", plan.ASKED):
            found.append(f"dynos reach the outside by HTTP and HTTPS only: {self._place.proxy}")
        if self._unmapped:
            found.append(
                f"dynos can replace committed files, not change them: {self._place.home} cannot be idmapped"
                f" ({self._unmapped})"
            )
        for path in (self._place.home, self._place.bwrap, *self._place.allow) if self._place.root else ():
            if folder := folders.closed(path):
                found.append(f"apps' uids cannot reach {path}: {folder} is closed to them")
        return found

    def start(self, spec: DynoSpec) -> dict[str, Any]:
        """Start the dyno, or describe the existing one with that id. Raises EngineError, OSError."""
        names.check_id(spec.id)
        with self._alone(spec.id):
            known = self.describe(spec.id)
            if known:
                return known
            order = plan.order(self._place, spec)
            order["state"] = _first_state(spec)
            try:
                self._bin.throw(f"{plan.DYNOS}/{spec.id}")  # an interrupted start: no order was sent
                folders.prepare(self._place, spec, order)
                order |= self._enter(spec)
                spawn.shim(spec.id, order)
            except BaseException:
                self._discard(spec.id)
                raise
            return self.describe(spec.id) or {}

    def describe(self, dyno_id: str) -> dict[str, Any] | None:
        """The state as a JSON object, or None."""
        found = state_reader.describe(self._place.home, dyno_id)
        return dataclasses.asdict(found) if found else None

    def list(self) -> list[dict[str, Any]]:
        """All states."""
        return [it for dyno_id in state_reader.all_ids(self._place.home) if (it := self.describe(dyno_id))]

    def signal(self, dyno_id: str, name: object) -> None:
        """Send a signal to the dyno; no effect if it has ended. Raises EngineError."""
        number = signals.BY_NAME.get(str(name))
        if number is None:
            raise EngineError(f"the signal {name!r} is not one of {', '.join(signals.BY_NAME)}", id="invalid_params")
        with self._alone(dyno_id):
            shim = self._shim(dyno_id)
            if shim:
                send_signal(shim, number)

    def forget(self, dyno_id: str) -> None:
        """Kill the dyno if it runs and remove its files; no effect if there is nothing. Raises EngineError."""
        with self._alone(dyno_id):
            values = state_reader.raw(self._place.home, dyno_id) or {}
            shim = self._shim(dyno_id)
            if shim:
                self._end(dyno_id, shim)
            if self._groups and not self._groups.kill(dyno_id):
                raise EngineError(f"processes of dyno {dyno_id} do not end", hint="look for processes in state D")
            self._remove_socket(values)
            self._discard(dyno_id)
        self._weigh()

    def discard(self, folder: str) -> None:
        """Delete a folder that ``artefacts.discarded`` returned; with an app's last volume, their common folder too.
        No effect if it does not exist. Raises OSError.
        """
        throw = self._bin.throw_last if folder.startswith("volumes/") else self._bin.throw
        try:
            throw(folder)
        except PermissionError:  # never as root; in development mode a hook may have closed its own folder
            os.chmod(self._place.path(folder), 0o700)
            throw(folder)

    def usage(self, volume: str) -> dict[str, Any]:
        """Measure the volume ``OWNER/NAME``. Raises OSError."""
        return dataclasses.asdict(volume_usage.measure(self._place.path("volumes", volume)))

    def sweep(self) -> None:
        """Remove leftovers without a dyno, at the start."""
        known = set(state_reader.all_ids(self._place.home))
        for dyno_id in set(self._groups.names()) - known if self._groups else ():
            self._discard(dyno_id)
        with contextlib.suppress(FileNotFoundError):
            for dyno_id in set(os.listdir(self._place.path(plan.SCRATCH))) - known:
                self._discard(dyno_id)

    def _enter(self, spec: DynoSpec) -> dict[str, Any]:
        if not self._groups:
            return {"enter": [], "leave": [], "oom": ""}
        self._groups.create(spec.id, spec.limits)
        self._weigh((spec.id, spec.kind, spec.owner))
        ways = {"enter": self._groups.entrances(spec.id), "leave": self._groups.exits()}
        return ways | {"oom": self._groups.oom_file(spec.id)}

    def _weigh(self, *more: tuple[str, str, str]) -> None:
        """Redistribute cpu weights among the running dynos (id, kind, owner); ``more``: those about to start."""
        if self._groups:
            states = (
                state_reader.describe(self._place.home, dyno_id) for dyno_id in state_reader.all_ids(self._place.home)
            )
            known = [(it.id, it.kind, it.owner) for it in states if it and not it.ended]
            self._groups.weigh({dyno_id: (kind, owner) for dyno_id, kind, owner in [*known, *more]})

    def _shim(self, dyno_id: str) -> Identity | None:
        values = state_reader.raw(self._place.home, dyno_id)
        return state_reader.shim(values) if values else None

    def _end(self, dyno_id: str, shim: Identity) -> None:
        send_signal(shim, signals.KILL)
        deadline = time.monotonic() + KILL_SECONDS
        while wait_gone([shim], 0.01) and time.monotonic() < deadline:
            state = state_reader.raw(self._place.home, dyno_id)
            if state and state["phase"] == "exited":
                break  # it only flushes output to its clients now
        send_signal(shim, signal.SIGKILL)
        wait_gone([shim], KILL_SECONDS)

    def _remove_socket(self, values: dict[str, Any]) -> None:
        """Remove a dead dyno's socket outside its run folder, unless it was replaced."""
        text = str(values.get("socket", ""))
        with contextlib.suppress(OSError, EngineError):
            path = plan.within(self._place, text, (plan.SOCKETS, plan.SERVICES), "socket")
            folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                status = os.stat(os.path.basename(path), dir_fd=folder, follow_symlinks=False)
                if stat.S_ISSOCK(status.st_mode) and status.st_ino == values.get("socket_inode"):
                    os.unlink(os.path.basename(path), dir_fd=folder)
            finally:
                os.close(folder)

    def _discard(self, dyno_id: str) -> None:
        if self._groups:
            self._groups.kill(dyno_id)
            self._groups.remove(dyno_id)
        self._bin.throw(f"{plan.SCRATCH}/{dyno_id}")
        self._bin.throw(f"{plan.DYNOS}/{dyno_id}")

    @contextlib.contextmanager
    def _alone(self, dyno_id: str) -> Iterator[None]:
        with self._locks_lock:
            lock, users = self._locks.get(dyno_id, (threading.Lock(), 0))
            self._locks[dyno_id] = lock, users + 1
        try:
            with lock:
                yield
        finally:
            with self._locks_lock:
                lock, users = self._locks.pop(dyno_id)
                if users > 1:
                    self._locks[dyno_id] = lock, users - 1


def _first_state(spec: DynoSpec) -> dict[str, Any]:
    socket = plan.served(spec)
    if not socket.startswith((plan.SOCKETS + "/", plan.SERVICES + "/")):
        socket = ""
    return {
        "id": spec.id,
        "kind": spec.kind,
        "owner": spec.owner,
        "process": spec.process,
        "phase": "starting",
        "pid": 0,
        "pid_started": 0,
        "boot": "",
        "host_pid": 0,
        "listening": False,
        "exit_code": None,
        "reason": "",
        "detail": "",
        "started_at": time.time(),
        "exited_at": 0.0,
        "socket": socket,
        "socket_inode": 0,
    }
