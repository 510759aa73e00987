"""Starts shims: a new interpreter with an empty environment that gets its order, including secrets, through a pipe.

The state file is written before the order is sent: if the supervisor is killed in between, the dyno is ``lost``, but
never started twice.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import select
import signal
import sys
from typing import Any

from greenroom.basics.processes import identity
from greenroom.engine.errors import EngineError
from greenroom.engine.local import state, state_reader

READY_SECONDS = 20.0
ERRORS = "shim.err"
_ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))
_CODE = f"import sys; sys.path.insert(0, {_ROOT!r}); from greenroom.engine.local import shim; shim.main()"
_ENV = {"MALLOC_ARENA_MAX": "1", "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


def shim(dyno_id: str, order: dict[str, Any]) -> None:
    """Start the shim and wait until it controls the dyno. Raises EngineError; then nothing runs."""
    order_out, order_in = os.pipe()
    ready_out, ready_in = os.pipe()
    try:
        try:
            pid = _spawn(dyno_id, order, order_out, ready_in)
        finally:
            os.close(order_out)
            os.close(ready_in)
        who = identity(pid)
        order["state"] |= {"pid": pid, "pid_started": who.started if who else 0, "boot": state_reader.boot_id()}
        state.write(order["folder"], order["state"])
        _house(pid, order["leave"])  # before the order: a late move could revert a shim that is starting the dyno
        data = marshal.dumps(order)
        with contextlib.suppress(BrokenPipeError), os.fdopen(order_in, "wb", buffering=0, closefd=False) as pipe:
            view = memoryview(len(data).to_bytes(8, "big") + data)
            while view:
                view = view[pipe.write(view) or 0 :]
        os.close(order_in)
        order_in = -1
        said = _said(ready_out)
        if said != b"+":
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            raise EngineError(
                f"the shim of dyno {dyno_id} could not set it up: {said.decode('utf-8', 'replace') or 'it died'}",
                hint="run `greenroom doctor`; details are on the supervisor's console",
            )
    finally:
        for fd in (order_in, ready_out):
            if fd >= 0:
                os.close(fd)


def _spawn(dyno_id: str, order: dict[str, Any], order_out: int, ready_in: int) -> int:
    errors = os.open(
        os.path.join(order["folder"], ERRORS), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o640
    )
    try:
        actions = [
            (os.POSIX_SPAWN_DUP2, order_out, 0),
            (os.POSIX_SPAWN_DUP2, ready_in, 1),
            (os.POSIX_SPAWN_DUP2, errors, 2),
        ]
        argv = [sys.executable, "-I", "-S", "-c", _CODE, dyno_id]
        every = [number for number in range(1, 32) if number not in (signal.SIGKILL, signal.SIGSTOP)]
        return os.posix_spawn(
            sys.executable, argv, _ENV, file_actions=actions, setsid=True, setsigdef=every, setsigmask=[]
        )
    finally:
        os.close(errors)


def _house(pid: int, groups: list[str]) -> None:
    """Move the shim into its control groups while its interpreter boots.

    The kernel needs about 10 ms for a first move and is fast for a while afterwards, so the dyno's own move is cheap.
    """
    for path in groups:
        with contextlib.suppress(OSError), open(path, "w") as file:
            file.write(str(pid))


def _said(fd: int) -> bytes:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if not poll.poll(READY_SECONDS * 1000):
        return f"no answer within {READY_SECONDS:.0f} seconds".encode()
    return os.read(fd, 4096)
