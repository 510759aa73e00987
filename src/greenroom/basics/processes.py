"""Child processes with a deadline and bounded output, and processes told apart from later ones with the same number.

It decides how a child is run, cut off and killed; what the output means is left to the caller.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Mapping, Sequence
    from typing import IO, NamedTuple
else:
    from collections import namedtuple

if TYPE_CHECKING:

    class Identity(NamedTuple):
        """A process for ever: its number and its start in clock ticks since the boot."""

        pid: int
        started: int

    class Result(NamedTuple):
        """code: 0..255, or -n after signal n; out and err: at most ``limit`` bytes each, the rest is thrown away."""

        code: int
        out: bytes
        err: bytes
        timed_out: bool

else:
    Identity = namedtuple("Identity", "pid started")
    Result = namedtuple("Result", "code out err timed_out")

LINGER = 0.2
"""Seconds to read on after the child's end, when a grandchild (a daemon) still holds its pipes."""


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    env: Mapping[str, str],
    cwd: str | os.PathLike[str] | None = None,
    stdin: bytes = b"",
    limit: int = 10_000_000,
) -> Result:
    """Run ``argv`` (never a shell string) in a session of its own and wait at most ``timeout`` seconds.

    On timeout the whole process group is killed and ``timed_out`` is true. Raises OSError when the program cannot be
    started.
    """
    import subprocess  # costs a megabyte; who needs identities alone does not pay for it

    child = subprocess.Popen(
        list(argv),
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(env),
        cwd=cwd,
        start_new_session=True,
    )
    try:
        out, err, timed_out = _Pump(child, stdin, limit).until(time.monotonic() + timeout)
    except BaseException:
        _kill_group(child)
        raise
    finally:
        for stream in (child.stdin, child.stdout, child.stderr):
            _close(stream)
    if timed_out:
        _kill_group(child)
    return Result(child.wait(), out, err, timed_out)


class _Pump:
    """Feeds a child and collects what it says until it ends."""

    def __init__(self, child: subprocess.Popen[bytes], stdin: bytes, limit: int) -> None:
        self.child, self.limit = child, limit
        self.todo = memoryview(stdin)
        assert child.stdout
        assert child.stderr
        self.kept = {child.stdout.fileno(): bytearray(), child.stderr.fileno(): bytearray()}
        self.order = list(self.kept)
        self.open = set(self.kept)

    def until(self, deadline: float) -> tuple[bytes, bytes, bool]:
        """Both outputs, and whether the deadline came first."""
        poll, end = select.poll(), os.pidfd_open(self.child.pid)
        try:
            for fd in self.open:
                poll.register(fd, select.POLLIN)
            poll.register(end, select.POLLIN)
            if self.child.stdin:
                os.set_blocking(self.child.stdin.fileno(), False)
                poll.register(self.child.stdin.fileno(), select.POLLOUT)
            timed_out = self._loop(poll, end, deadline)
        finally:
            os.close(end)
        out, err = (bytes(self.kept[fd]) for fd in self.order)
        return out, err, timed_out

    def _loop(self, poll: select.poll, end: int, deadline: float) -> bool:
        ended = False
        while not (ended and not self.open):
            left = deadline - time.monotonic()
            if left <= 0:
                return not ended
            for fd, _ in poll.poll(left * 1000):
                if fd == end:
                    ended, deadline = True, min(deadline, time.monotonic() + LINGER)
                    poll.unregister(end)
                elif fd in self.open:
                    self._read(poll, fd)
                else:
                    self._write(poll, fd)
        return False

    def _read(self, poll: select.poll, fd: int) -> None:
        data = os.read(fd, 65536)
        if not data:
            poll.unregister(fd)
            self.open.discard(fd)
        room = self.limit - len(self.kept[fd])
        self.kept[fd] += data[: max(0, room)]

    def _write(self, poll: select.poll, fd: int) -> None:
        try:
            self.todo = self.todo[os.write(fd, self.todo[:65536]) :]
        except BlockingIOError:
            return
        except OSError:
            self.todo = self.todo[:0]
        if not self.todo:
            poll.unregister(fd)
            _close(self.child.stdin)


def _close(stream: IO[bytes] | None) -> None:
    with contextlib.suppress(OSError):  # a broken pipe: the child did not want its input
        if stream:
            stream.close()


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        child.kill()


def identity(pid: int, *, ended: bool = False) -> Identity | None:
    """The process with this pid; None if there is none, or if it is a zombie and not ``ended``: a child that its parent
    has not collected.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            fields = file.read(4096).rpartition(b")")[2].split()
    except OSError:
        return None
    if len(fields) < 20 or (fields[0] in (b"Z", b"X") and not ended):
        return None
    return Identity(pid, int(fields[19]))


def is_alive(who: Identity) -> bool:
    """Whether that very process still runs (not another one with its number)."""
    return identity(who.pid) == tuple(who)


def open_pidfd(who: Identity) -> int | None:
    """A pidfd (the caller closes it) of that very process, or None when it has ended."""
    try:
        fd = os.pidfd_open(who.pid)
    except OSError:
        return None
    if is_alive(who):
        return fd
    os.close(fd)
    return None


def send_signal(who: Identity, number: int) -> bool:
    """Signal that very process; False when it has ended. Raises PermissionError."""
    fd = open_pidfd(who)
    if fd is None:
        return False
    try:
        signal.pidfd_send_signal(fd, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)


def wait_gone(processes: Iterable[Identity], timeout: float) -> list[Identity]:
    """Wait until all have ended, at most ``timeout`` seconds; those that still run."""
    deadline = time.monotonic() + timeout
    left = list(processes)
    while left:
        fd = open_pidfd(left[0])
        if fd is None:
            left.pop(0)
            continue
        try:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                break
            left.pop(0)
        finally:
            os.close(fd)
    return [who for who in left if is_alive(who)]
