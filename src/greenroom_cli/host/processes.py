"""Starts components, finds running ones, and stops them.

A running component is identified by the lock that it holds (``locks``), or faster by ``run/<name>.pid``: its pid and
start time, so that a reused pid is never mistaken for it. Pid files are optional: they may be missing on a full disk.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from greenroom.basics import atomic
from greenroom.basics.processes import Identity, identity, is_alive, send_signal, wait_gone
from greenroom_cli.host import locks, postgres_cgroup
from greenroom_cli.host.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from greenroom_cli.host.component import Component
    from greenroom_cli.host.started_component import StartedComponent

LOG_BYTES = 5_000_000
Say = Callable[[str], None]


def pid_file(home: Path, name: str) -> Path:
    """The pid file of a component."""
    return home / "run" / f"{name}.pid"


def known(home: Path, name: str) -> Identity | None:
    """The running process of that component, from its pid file or its lock; None when it is not running."""
    try:
        data = json.loads(pid_file(home, name).read_text())
        who = Identity(data["pid"], data["start"])
    except (OSError, ValueError, KeyError, TypeError):
        who = None
    if who and is_alive(who):
        return who
    return next((holder for holder in locks.holders(home, name) if not _left_over(name, holder)), None)


def _left_over(name: str, who: Identity) -> bool:
    """Whether the process only inherited the lock: a PostgreSQL backend whose postmaster has died."""
    try:
        return name == "postgres" and b"\0-D\0" not in Path(f"/proc/{who.pid}/cmdline").read_bytes()
    except OSError:
        return True


def details(home: Path, name: str) -> dict:
    """The content of the pid file: pid, start, since, restarts; {} when it is missing."""
    try:
        return json.loads(pid_file(home, name).read_text())
    except (OSError, ValueError):
        return {}


def remember(home: Path, name: str, who: Identity, restarts: int = 0) -> bool:
    """Write the pid file of a started process; False when that fails."""
    facts = {"pid": who.pid, "start": who.started, "since": time.time(), "restarts": restarts}
    try:
        atomic.write(pid_file(home, name), json.dumps(facts))
    except OSError:
        return False
    return True


def forget(path: Path) -> None:
    """Remove a file, if possible."""
    with contextlib.suppress(OSError):
        path.unlink()


def start(home: Path, component: Component | StartedComponent, restarts: int = 0) -> Identity:
    """Start a component in its own session, with its lock; its output goes to ``logs/<name>.log``. HostError when it is
    already running. It may have ended already.
    """
    if other := known(home, component.name):
        raise HostError(f"{component.name} is already running as pid {other.pid}.", f"greenroom down --home {home}")
    end(locks.holders(home, component.name), signal.SIGTERM, 2)
    if component.before:
        component.before()
    lock = None if component.locks_itself else locks.take(home, component.name)
    if lock is None and not component.locks_itself:
        raise HostError(f"{component.name} is being started by another process.", f"greenroom status --home {home}")
    extra = {"user": component.user[0], "group": component.user[1], "extra_groups": []} if component.user else {}
    log = _log(home, component.name)
    try:
        process = subprocess.Popen(
            component.argv,
            cwd=home,
            env=component.env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            umask=0o022,
            pass_fds=() if lock is None else (lock,),
            **extra,
        )  # type: ignore[call-overload]
    finally:
        os.close(log)
        if lock is not None:
            os.close(lock)
    postgres_cgroup.enter(process.pid, component.group)
    process.returncode = 0  # collected by ``reap``, also after the exec of ``host.watch``
    who = identity(process.pid, ended=True)
    if who is None:
        raise HostError(f"{component.name} exited immediately.", f"see {home}/logs/{component.name}.log")
    remember(home, component.name, who, restarts)
    return who


def _log(home: Path, name: str) -> int:
    """A descriptor of the component's log, rotated when it is large; of /dev/null when the log cannot be opened."""
    path = home / "logs" / f"{name}.log"
    with contextlib.suppress(OSError):
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def reap() -> None:
    """Collect children that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def bring_up(home: Path, component: Component, say: Say) -> None:
    """Adopt the component if it is running, else start it, and wait until it is ready. HostError with the end of its
    log on timeout.
    """
    living = known(home, component.name)
    if living and component.ready():
        if details(home, component.name).get("pid") != living.pid:
            remember(home, component.name, living)
        say(f"{component.name}: adopted")
        return
    began = time.monotonic()
    pause = 0.3
    while time.monotonic() - began < component.patience:
        if known(home, component.name) is None:
            start(home, component)
        limit = time.monotonic() + component.patience
        while time.monotonic() < limit and known(home, component.name):
            if component.ready():
                say(f"{component.name}: up ({time.monotonic() - began:.1f} s)")
                return
            time.sleep(0.03)
            reap()
        reap()
        time.sleep(pause)
        pause = min(pause * 2, 3.0)
    raise HostError(
        f"{component.name} does not start. The end of its log:\n{log_tail(home, component.name)}",
        f"see {home}/logs/{component.name}.log",
    )


def log_tail(home: Path, name: str, lines: int = 8) -> str:
    """The last lines of a component's log, indented."""
    try:
        return "\n".join(
            f"    {line}" for line in (home / "logs" / f"{name}.log").read_text(errors="replace").splitlines()[-lines:]
        )
    except OSError:
        return "    (no log)"


def stop(home: Path, name: str, number: int, seconds: float) -> bool:
    """Signal a component and the other holders of its lock, wait, then send SIGKILL. True if it was running."""
    who = known(home, name)
    if who:
        end([who], number, seconds)
    end(locks.holders(home, name), signal.SIGTERM, 2)
    reap()
    forget(pid_file(home, name))
    return who is not None


def end(processes: list[Identity], number: int, seconds: float) -> None:
    """Signal processes, wait up to ``seconds``, then send SIGKILL to the rest."""
    for who in processes:
        send_signal(who, number)
    left = wait_gone(processes, seconds)
    for who in left:
        send_signal(who, signal.SIGKILL)
    wait_gone(left, 5)


def detach(log: Path) -> int:
    """Fork twice. Returns 0 in the grandchild, which has its own session and log, and the child's pid in the caller."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return pid
    os.setsid()
    if os.fork():
        os._exit(0)
    try:
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    except OSError:
        handle = os.open(os.devnull, os.O_WRONLY)
    null = os.open(os.devnull, os.O_RDONLY)
    sys.stdout.flush()
    sys.stderr.flush()
    for target, source in ((0, null), (1, handle), (2, handle)):
        os.dup2(source, target)
    return 0
