"""The sandboxed process tree of a dyno: starts it with bubblewrap, signals it, kills it as a whole, and interprets its
end.

Handles processes and descriptors; the shim handles deadlines and log lines.
"""

from __future__ import annotations

import fcntl
import os
import resource
import struct
import termios

from greenroom.engine.local.loop import IN, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SIGKILL = 9
FILES = 8192
_LOOKS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.5)
"""Seconds between checks for the command's process, which bubblewrap does not announce."""
_BWRAP, _SETSID, _SOON = (b"bwrap",), (b"bwrap", b"setsid"), 10
"""Process names before the command is executed, and the number of checks to wait for ``setsid`` to finish."""


def limit(processes: int) -> None:
    """Set the resource limits that the dyno inherits. ``processes``: maximum number if no control group counts them (0:
    one does).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = FILES if most == resource.RLIM_INFINITY else min(FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    resource.setrlimit(resource.RLIMIT_MSGQUEUE, (0, 0))
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
    if processes:
        resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))


def overlays(order: dict[str, Any]) -> list[Any]:
    """The overlays of an order whose writes are kept. A supervisor of an earlier version calls them skeletons."""
    return order.setdefault("overlays", order.get("skeletons", []))


def adopt_layers(order: dict[str, Any]) -> None:
    """Make the layers of overlays appear as owned by the dyno; if the host does not support it, at least their
    folders.
    """
    if order["adopt"]:
        from greenroom.engine.local import idmap  # not in every mode; imports cost memory in each shim

        if idmap.adopt(order["adopt"], order["uid"]):
            overlays(order).extend(order["unkept"])


def make_overlay_folders(order: dict[str, Any]) -> None:
    """Make the folders of overlays with kept writes belong to the dyno's user. Raises OSError."""
    if overlays(order):
        from greenroom.engine.local import overlay_folders  # rarely needed; imports cost memory in each shim

        for layers, upper in overlays(order):
            overlay_folders.make(layers, upper)


class Pipes:
    """The parent's ends of a dyno's standard streams: ``output`` to read, ``input`` to write (-1: none)."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.far: list[int] = []
        self.terminal = ""
        self.input = -1
        if order["tty"]:
            self._pty(order["rows"], order["columns"])
        else:
            self.output, far = os.pipe()
            self.far = [self._standard_input(order), far]
        os.set_blocking(self.output, False)
        if order["attach"]:
            self.input = self.output if order["tty"] else self.input
            os.set_blocking(self.input, False)

    def _pty(self, rows: int, columns: int) -> None:
        self.output, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.far = [slave, slave]
        os.set_inheritable(self.output, False)

    def _standard_input(self, order: dict[str, Any]) -> int:
        if order["attach"]:
            near, self.input = os.pipe()
            return near
        if order["stdin"]:
            fd = os.memfd_create("stdin")
            os.write(fd, order["stdin"])
            os.lseek(fd, 0, os.SEEK_SET)
            return fd
        return os.open("/dev/null", os.O_RDONLY)

    def close_far(self) -> None:
        """Close the child's ends, which the child has duplicated."""
        for fd in set(self.far):
            os.close(fd)
        self.far = []


class Tree:
    """One running sandbox."""

    def __init__(self, loop: Loop, order: dict[str, Any], pipes: Pipes, groups: tuple[list[int], list[int]]) -> None:
        self._loop = loop
        self.main = 0
        self.ended = False
        self._first = 0
        self._launchers = _SETSID if order["tty"] else _BWRAP
        self._said = b""
        self._seen: Callable[[], None] = lambda: None
        self._over: Callable[[int, bool], None] = lambda code, ran: None
        self._status, status = os.pipe()
        arguments = _memory("arguments", order.pop("arguments"))
        program = _memory("seccomp", order.pop("seccomp"))
        for fd in (status, arguments, program):
            os.set_inheritable(fd, True)
        argv = ["bwrap", "--args", str(arguments), "--json-status-fd", str(status), "--seccomp", str(program), "--"]
        actions = [(os.POSIX_SPAWN_DUP2, source, target) for target, source in enumerate([*pipes.far, pipes.far[1]])]
        for fd in groups[0]:
            os.write(fd, b"0")
        try:
            self.pid = os.posix_spawn(
                order["bwrap"],
                [*argv, *order["command"]],
                {},
                file_actions=actions,
                setsid=True,
                setsigdef=range(1, 32),
            )
        finally:
            for fd in groups[1]:
                os.write(fd, b"0")
            for fd in (status, arguments, program):
                os.close(fd)
        os.set_blocking(self._status, False)
        loop.add(self._status, IN, self._status_ready)
        self._end = os.pidfd_open(self.pid)
        loop.add(self._end, IN, self._ended)

    def watch(self, seen: Callable[[], None], over: Callable[[int, bool], None]) -> None:
        """Call ``seen()`` when the command runs, and ``over(exit code, whether the command ever ran)`` after the tree's
        end.
        """
        self._seen, self._over = seen, over

    def signal(self, number: int) -> bool:
        """Signal the command's process; False if it does not exist (yet)."""
        return not self.ended and bool(self.main) and _kill(self.main, number)

    def hang_up(self, number: int) -> bool:
        """Signal the command's process group; False if the command does not run (yet)."""
        if not self.main or self.ended:
            return False
        try:
            os.killpg(os.getpgid(self.main), number)
        except OSError:
            return self.signal(number)
        return True

    def kill(self) -> None:
        """Kill the whole tree: its pid namespace ends with its first process."""
        if self.ended:
            return
        if self._first:
            _kill(self._first, SIGKILL)
            self._loop.at(1.0, self._kill_outer)
        else:
            _kill(self.pid, SIGKILL)

    def _kill_outer(self) -> None:
        if not self.ended:
            _kill(self.pid, SIGKILL)

    @property
    def first(self) -> int:
        """The host's pid of the pid namespace's first process; 0 if unknown."""
        return self._first

    def _status_ready(self, _: int) -> None:
        try:
            data = os.read(self._status, 4096)
        except BlockingIOError:
            return
        self._said += data
        if not data:
            self._loop.close(self._status)
            self._status = -1
        if not self._first and (found := _number(self._said, b'"child-pid"')) is not None:
            self._first = found
            self._look(0)

    def _look(self, turn: int) -> None:
        if self.ended or self.main:
            return
        self.main = _only_child(self._first, self._launchers if turn < _SOON else _BWRAP)
        if self.main:
            self._seen()
        elif turn < 1000:
            self._loop.at(_LOOKS[min(turn, len(_LOOKS) - 1)], lambda: self._look(turn + 1))

    def _ended(self, _: int) -> None:
        _, status = os.waitpid(self.pid, 0)
        self.ended = True
        if self._first:
            _kill(self._first, SIGKILL)
        self._loop.close(self._end)
        if self._status >= 0:
            self._status_ready(0)
        if self._status >= 0:
            self._loop.close(self._status)
            self._status = -1
        ran = _number(self._said, b'"exit-code"') is not None or bool(self.main and os.WIFSIGNALED(status))
        code = os.waitstatus_to_exitcode(status)
        self._over(code if code >= 0 else 128 - code, ran)


def _kill(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except OSError:
        return False
    return True


def _memory(name: str, data: bytes) -> int:
    fd = os.memfd_create(name)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _number(text: bytes, key: bytes) -> int | None:
    _, found, rest = text.partition(key)
    digits = rest.lstrip(b": ")
    end = 0
    while digits[end : end + 1].isdigit():
        end += 1
    return int(digits[:end]) if found and end else None


def _only_child(pid: int, launchers: tuple[bytes, ...]) -> int:
    """The first child of bubblewrap's own first process that is no longer one of the launchers."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb", buffering=0) as file:
            pids = file.read(4096).split()
        if not pids:
            return 0
        with open(f"/proc/{int(pids[0])}/comm", "rb", buffering=0) as file:
            return 0 if file.read(64).strip() in launchers else int(pids[0])
    except OSError:
        return 0


def resident_mb(first: int) -> float:
    """Memory in MB of the tree below the pid namespace's first process, without shared pages; for hosts without control
    groups.
    """
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb", buffering=0) as file:
                    parent = int(file.read(4096).rpartition(b")")[2].split()[1])
            except (OSError, IndexError):
                continue
            parents.setdefault(parent, []).append(int(name))
    pages, todo = 0, [first]
    while todo:
        pid = todo.pop()
        todo += parents.get(pid, [])
        try:
            with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:
                fields = file.read(256).split()
            pages += int(fields[1]) - int(fields[2])
        except (OSError, IndexError):
            continue
    return pages * 4096 / 1048576
