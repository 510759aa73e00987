"""Control groups (version 1 or 2), one per dyno, for memory, processes and cpu; created and removed by the supervisor.

If they are unavailable (no root, no delegation), ``find`` raises the reason, and the shim measures memory itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import time
from collections import Counter

from greenroom.basics.processes import identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from greenroom.engine.contract import Limits

TOP = "greenroom"
PROCESS = 1024
"""The weight of one ordinary process, in shares of version 1 (100 in version 2)."""
SHIMS_WEIGHT = 4 * PROCESS
WEIGHTS = {"web": 1024, "worker": 512, "run": 512, "release": 512}
WEIGHT_OF_OTHERS = 128
SHIMS = "_shims"
"""The group without limits for the shims themselves. Names of groups that belong to no dyno start with an
underscore.
"""
CONTROLLERS = ("memory", "pids", "cpu")
NEEDED = ("memory", "pids")
PERIOD = 100_000
_MB = 1024 * 1024


def cpu_weight(kind: str, siblings: int) -> int:
    """A dyno's cpu weight: web before worker and one-off before build, test, scan and rehearsal.

    siblings: number of the app's dynos of that kind, including this one. They share one weight, so that an app gains
    nothing by more dynos.
    """
    return max(2, WEIGHTS.get(kind, WEIGHT_OF_OTHERS) // max(1, siblings))


class UnavailableError(Exception):
    """Why control groups are unavailable."""


class Groups:
    """The groups of one home: ``<mount>/greenroom/<digest of the home>/<dyno id>`` in each hierarchy."""

    def __init__(self, home: str, mounts: dict[str, str], version: int) -> None:
        self._mounts, self.version = mounts, version
        self._name = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]

    def create(self, dyno_id: str, limits: Limits) -> None:
        """Create the dyno's groups and set their limits. Raises OSError."""
        for path in self._paths(dyno_id):
            self._make(path)
        for path in self._paths(SHIMS):
            self._make(path)
        self._limit(dyno_id, limits)

    def weigh(self, dynos: dict[str, tuple[str, str]]) -> None:
        """Distribute cpu weights. ``dynos``: id -> (kind, owner) of all running dynos.

        All dynos of the home together weigh as much as the same number of processes (at least one per core), and all
        homes as much as their sum.
        """
        if "cpu" not in self._mounts:
            return
        together = Counter(dynos.values())
        for dyno_id, (kind, owner) in dynos.items():
            self._weigh(self._path("cpu", dyno_id), cpu_weight(kind, together[kind, owner]))
        home = self._home("cpu")
        self._weigh(os.path.join(home, SHIMS), SHIMS_WEIGHT)
        self._weigh(home, PROCESS * max(os.cpu_count() or 1, len(dynos)))
        top = os.path.dirname(home)
        with contextlib.suppress(OSError):
            self._weigh(
                top,
                sum(
                    self._weight_of(entry.path)
                    for entry in os.scandir(top)
                    if entry.is_dir() and _has_dynos(entry.path)
                ),
            )

    def _weigh(self, path: str, weight: int) -> None:
        """Set a group's weight, in shares of version 1. Best effort: it is no limit."""
        name, value = ("cpu.weight", weight * 100 // PROCESS) if self.version == 2 else ("cpu.shares", weight)
        with contextlib.suppress(OSError), open(os.path.join(path, name), "w") as file:
            file.write(str(max(2, min(value, 10_000 if self.version == 2 else 262_144))))

    def _weight_of(self, path: str) -> int:
        try:
            with open(os.path.join(path, "cpu.weight" if self.version == 2 else "cpu.shares")) as file:
                value = int(file.read())
        except (OSError, ValueError):
            return 0
        return value * PROCESS // 100 if self.version == 2 else value

    def entrances(self, dyno_id: str) -> list[str]:
        """The files into which a process writes ``0`` to enter the groups."""
        return [os.path.join(path, "cgroup.procs") for path in self._paths(dyno_id)]

    def exits(self) -> list[str]:
        """The files into which a process writes ``0`` to move to the shims' group."""
        return self.entrances(SHIMS)

    def oom_file(self, dyno_id: str) -> str:
        """The file whose ``oom_kill`` line counts the processes that were killed for lack of memory."""
        return os.path.join(
            self._path("memory", dyno_id), "memory.events" if self.version == 2 else "memory.oom_control"
        )

    def server(self, name: str, memory: int) -> list[str]:
        """Create a group for a platform server with a limit of ``memory`` bytes. Returns the files to write its pid to.
        Raises OSError.
        """
        path = self._path("memory", name)
        self._make(path)
        swap = "memory.memsw.limit_in_bytes?"
        values = [(swap, -1), ("memory.limit_in_bytes", memory), (swap, memory)]
        if self.version == 2:
            values = [("memory.high", memory // 8 * 7), ("memory.max", memory), ("memory.swap.max?", 0)]
        for file, value in values:
            self._set("memory", name, file, str(value))
        return [os.path.join(path, "cgroup.procs")]

    def kill(self, dyno_id: str, patience: float = 5.0) -> bool:
        """Kill the remaining processes in the dyno's groups; whether all have ended."""
        deadline = time.monotonic() + patience
        while left := set(self._members(dyno_id)):
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def remove(self, dyno_id: str) -> None:
        """Remove the dyno's groups, which must be empty; no effect if they do not exist."""
        for path in self._paths(dyno_id):
            for _ in range(200):
                if _removed(path):
                    break
                time.sleep(0.005)  # the kernel still counts a process that just ended

    def names(self) -> list[str]:
        """Ids of dynos that have groups."""
        found: set[str] = set()
        for controller in self._mounts:
            with contextlib.suppress(OSError):
                found.update(entry.name for entry in os.scandir(self._home(controller)) if entry.is_dir())
        return sorted(name for name in found if not name.startswith("_"))

    def dissolve(self) -> None:
        """Remove the home's own groups, unless a dyno, shim or server is still in them."""
        for path in (*self._paths(SHIMS), *{self._home(controller) for controller in self._mounts}):
            for _ in range(200):
                if _removed(path) or _in_use(path):
                    break
                time.sleep(0.005)

    def _home(self, controller: str) -> str:
        return os.path.join(self._mounts[controller], TOP, self._name)

    def _path(self, controller: str, dyno_id: str) -> str:
        return os.path.join(self._home(controller), dyno_id)

    def _paths(self, dyno_id: str) -> list[str]:
        return sorted({self._path(controller, dyno_id) for controller in self._mounts})

    def _members(self, dyno_id: str) -> Iterator[int]:
        for file in self.entrances(dyno_id):
            with contextlib.suppress(FileNotFoundError), open(file) as pids:
                yield from map(int, pids.read().split())

    def _make(self, path: str) -> None:
        os.makedirs(path, exist_ok=True)

    def _limit(self, dyno_id: str, limits: Limits) -> None:
        bytes_ = limits.memory_mb * _MB
        values: list[tuple[str, str, object]]
        if self.version == 2:
            quota = f"{round(limits.cpu * PERIOD)} {PERIOD}" if limits.cpu else "max"
            values = [
                ("memory", "memory.max", bytes_),
                ("memory", "memory.swap.max?", 0),
                ("pids", "pids.max", limits.pids),
            ]
            values += [("cpu", "cpu.max", quota)] if limits.cpu else []
        else:
            quota = str(round(limits.cpu * PERIOD)) if limits.cpu else "-1"
            values = [("memory", "memory.limit_in_bytes", bytes_), ("memory", "memory.memsw.limit_in_bytes?", bytes_)]
            values += [("pids", "pids.max", limits.pids)]
            values += [("cpu", "cpu.cfs_period_us", PERIOD), ("cpu", "cpu.cfs_quota_us", quota)] if limits.cpu else []
        for controller, name, value in values:
            self._set(controller, dyno_id, name, str(value))

    def _set(self, controller: str, dyno_id: str, name: str, value: str) -> None:
        if controller not in self._mounts:
            return
        path = os.path.join(self._path(controller, dyno_id), name.rstrip("?"))
        if name.endswith("?") and not os.path.exists(path):
            return  # a kernel without swap accounting
        with open(path, "w") as file:
            file.write(value)


def _removed(path: str) -> bool:
    """Remove a group; whether it is gone."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _in_use(path: str) -> bool:
    """Whether a group has groups or processes in it; not one that is ending, whose last thread closes its files."""
    try:
        with open(os.path.join(path, "cgroup.procs")) as pids:
            if any(identity(int(pid)) for pid in pids.read().split()):
                return True
        return any(entry.is_dir() for entry in os.scandir(path))
    except OSError:
        return False


def _has_dynos(home: str) -> bool:
    return any(entry.is_dir() and entry.name != SHIMS for entry in os.scandir(home))


def find(home: str, mountinfo: str = "/proc/self/mountinfo") -> Groups:
    """The groups that this process may create. Raises UnavailableError with the reason."""
    if os.geteuid() != 0:
        raise UnavailableError("they need root")
    mounts, unified = _mounts(mountinfo)
    if all(name in mounts for name in NEEDED):
        groups = Groups(home, {name: mounts[name] for name in CONTROLLERS if name in mounts}, 1)
    elif unified:
        groups = Groups(home, dict.fromkeys(_enable(unified), unified), 2)
    else:
        raise UnavailableError("no control groups for memory and pids are mounted")
    for controller in groups._mounts:
        path = groups._home(controller)
        try:
            os.makedirs(path, exist_ok=True)
            if groups.version == 2:
                for folder in (os.path.dirname(path), path):
                    _subtree(folder, list(groups._mounts))
        except OSError as error:
            raise UnavailableError(f"{path}: {error.strerror}") from None
    return groups


def _mounts(mountinfo: str) -> tuple[dict[str, str], str]:
    first: dict[str, str] = {}
    unified = ""
    with open(mountinfo) as file:
        for line in file:
            left, _, right = line.partition(" - ")
            path = left.split()[4]
            kind, _, options = right.split()[:3]
            if kind == "cgroup2":
                unified = unified or path
            elif kind == "cgroup":
                for option in options.split(","):
                    first.setdefault(option, path)
    return first, unified


def _enable(mount: str) -> list[str]:
    """The available controllers of version 2 under ``mount``. Raises UnavailableError."""
    try:
        with open(os.path.join(mount, "cgroup.controllers")) as file:
            there = [name for name in file.read().split() if name in CONTROLLERS]
    except OSError as error:
        raise UnavailableError(f"{mount}: {error.strerror}") from None
    missing = [name for name in NEEDED if name not in there]
    if missing:
        raise UnavailableError(f"{mount} has no controller for {', '.join(missing)}")
    try:
        _subtree(mount, there)
    except OSError as error:
        raise UnavailableError(f"{mount}: {error.strerror}") from None
    return there


def _subtree(folder: str, controllers: list[str]) -> None:
    with open(os.path.join(folder, "cgroup.subtree_control"), "w") as file:
        file.write(" ".join(f"+{name}" for name in controllers))
