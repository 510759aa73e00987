"""Stops a dyno's processes with SIGTERM: decides which get it at once and which later, and keeps the sandbox alive
after its first command ends.

Reads the process tree below the sandbox and signals it; the shim handles the grace period and the log lines.
"""

from __future__ import annotations

import os
from _signal import pidfd_send_signal

from greenroom.engine.local.loop import IN, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CONT, STOP, TERM = 18, 19, 15
SHELLS = ("ash", "bash", "busybox", "dash", "ksh", "mksh", "sh", "zsh")
FILTER_SECONDS = 2.0
"""Seconds for a filter to end after its input, before it gets SIGTERM too."""


class Stopping:
    """One SIGTERM for every process of the dyno, in an order that keeps parents alive until their children have ended.

    * A process that catches SIGTERM, or has no children, gets it at once. One that catches it manages its own children
      (gunicorn, celery); only a shell's ``trap`` cannot reach them, so they get it too.
    * A process that would die and leave its children gets it when they have ended; a shell is halted until then, so
      that it starts nothing new.
    * A filter (its standard input is a sibling's pipe) ends with its input; it gets SIGTERM if it does not.
    * An orphan gets it when it has lost its parent.
    """

    def __init__(self, loop: Loop, outer: int, first: int) -> None:
        self._loop, self._outer, self._first = loop, outer, first
        self._fds: dict[int, int] = {}
        self._met: set[int] = set()
        self._held: dict[int, set[int]] = {}
        self._filters: dict[int, set[int]] = {}

    def begin(self, grace: float) -> None:
        """Signal the processes; the sandbox lives until its last process has ended or is killed.

        bubblewrap's outer process would end the sandbox with the main process, so it is halted until the inner one has
        ended.
        """
        _kill(self._outer, STOP)
        if not self._watch(self._first, self._all_gone):
            self._all_gone()
        self._orphans()
        self._loop.at(grace / 3, self._end_filters)

    def _all_gone(self) -> None:
        _kill(self._outer, CONT)

    def _orphans(self) -> None:
        self._visit_all(_children(self._first))

    def _visit_all(self, pids: Iterable[int]) -> None:
        new = [pid for pid in pids if pid not in self._met]
        pipes = {pid: _pipes(pid) for pid in new}
        for pid in new:
            self._met.add(pid)
            source = pipes[pid][0]
            writers = {other for other in new if other != pid and source and source in pipes[other][1:]}
            if not self._watch(pid, lambda pid=pid: self._gone(pid)):  # type: ignore[misc]
                continue
            if writers:
                self._filters[pid] = writers
            else:
                self._visit(pid)

    def _visit(self, pid: int) -> None:
        known = look(pid)
        if known is None:
            return
        shell, catches = known
        children = _children(pid)
        if catches or not children:
            self._send(pid, TERM)
            if shell and children:
                self._visit_all(children)
            return
        if shell:
            self._send(pid, STOP)
            children = _children(pid)
        self._held[pid] = set(children)
        self._visit_all(children)
        self._release()

    def _gone(self, pid: int) -> None:
        self._fds.pop(pid, None)
        self._release()
        for reader, writers in list(self._filters.items()):
            if not writers & self._fds.keys():
                self._filters[reader] = {reader}  # only once
                self._loop.at(FILTER_SECONDS, lambda reader=reader: self._end_filter(reader))  # type: ignore[misc]
        self._orphans()

    def _release(self) -> None:
        """Signal the processes whose children have ended; a shell that had started another child stays halted."""
        for pid, children in list(self._held.items()):
            if pid not in self._held or children & self._fds.keys():
                continue
            more = {child for child in _children(pid) if child not in self._met}
            shell = (look(pid) or (False, False))[0]
            if more and shell:
                self._held[pid] = more
                self._visit_all(more)
                continue
            del self._held[pid]
            self._send(pid, TERM)
            self._send(pid, CONT)

    def _end_filters(self) -> None:
        for pid in list(self._filters):
            self._end_filter(pid)

    def _end_filter(self, pid: int) -> None:
        if self._filters.pop(pid, None) is not None and pid in self._fds:
            self._visit(pid)

    def _watch(self, pid: int, gone: Callable[[], None]) -> bool:
        """Call ``gone`` at the process's end; False if it has already ended."""
        try:
            fd = os.pidfd_open(pid)
        except OSError:
            return False

        def ended(_: int) -> None:
            self._loop.close(fd)
            gone()

        self._fds[pid] = fd
        self._loop.add(fd, IN, ended)
        return True

    def _send(self, pid: int, number: int) -> None:
        fd = self._fds.get(pid, -1)
        if fd >= 0:
            try:  # noqa: SIM105 (contextlib is heavy)
                pidfd_send_signal(fd, number)
            except OSError:
                pass  # it has already ended


def _kill(pid: int, number: int) -> None:
    try:  # noqa: SIM105 (contextlib is heavy)
        os.kill(pid, number)
    except OSError:
        pass  # it has already ended


def look(pid: int) -> tuple[bool, bool] | None:
    """Whether the process is a shell, and whether it catches SIGTERM; None if it has ended."""
    status = _read(f"/proc/{pid}/status")
    state = status.partition(b"\nState:\t")[2][:1]
    if not state or state in b"ZX":
        return None
    caught = int(status.partition(b"\nSigCgt:\t")[2].partition(b"\n")[0] or b"0", 16)
    try:
        program = os.readlink(f"/proc/{pid}/exe").rpartition("/")[2].removesuffix(" (deleted)")
    except OSError:
        program = ""
    return program in SHELLS, bool(caught >> (TERM - 1) & 1)


def _children(pid: int) -> list[int]:
    """The living children of all threads of the process."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    found = [int(child) for thread in threads for child in _read(f"/proc/{pid}/task/{thread}/children").split()]
    return [child for child in found if look(child) is not None]


def _pipes(pid: int) -> list[str]:
    """The pipes of its standard input, output and error; empty texts for other files."""
    return [_pipe(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)]


def _pipe(path: str) -> str:
    try:
        target = os.readlink(path)
    except OSError:
        return ""
    return target if target.startswith("pipe:") else ""


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(65536)
    except OSError:
        return b""
