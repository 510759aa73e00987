"""Starts components, finds the ones that live already, restarts what dies with growing pauses, and ends all of them.

What is known of a component stands in ``run/<name>.pid``: its pid and start time, so that a reused number is never mistaken for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from greenroom.basics.processes import Identity, identity, is_alive, open_pidfd, send_signal, wait_gone
from greenroom_cli.host.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from greenroom_cli.host.components import Component
    from greenroom_cli.host.watch import Watched

LONGEST = 60.0
STEADY = 60.0
LOG_BYTES = 5_000_000
Say = Callable[[str], None]


def pid_file(home: Path, name: str) -> Path:
    """Where a component's identity is kept."""
    return home / "run" / f"{name}.pid"


def known(home: Path, name: str) -> Identity | None:
    """The living process of that component, or None."""
    try:
        data = json.loads(pid_file(home, name).read_text())
        who = Identity(data["pid"], data["start"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return who if is_alive(who) else None


def details(home: Path, name: str) -> dict:
    """What the pid file says: pid, start, since, restarts."""
    try:
        return json.loads(pid_file(home, name).read_text())
    except (OSError, ValueError):
        return {}


def remember(home: Path, name: str, pid: int, restarts: int = 0) -> Identity:
    """Write the identity of a process that has just been started."""
    who = identity(pid)
    if who is None:
        raise HostError(f"{name} ended at once.", f"see {home}/logs/{name}.log")
    path = pid_file(home, name)
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps({"pid": who.pid, "start": who.started, "since": time.time(), "restarts": restarts}))
    temporary.chmod(0o644)
    temporary.replace(path)
    return who


def start(home: Path, component: Component | Watched, restarts: int = 0) -> Identity:
    """Start one component in a session of its own; its output goes to ``logs/<name>.log``."""
    if component.before:
        component.before()
    path = home / "logs" / f"{component.name}.log"
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    extra = {"user": component.user[0], "group": component.user[1], "extra_groups": []} if component.user else {}
    with path.open("ab") as log:
        process = subprocess.Popen(
            component.argv, cwd=home, env=component.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            umask=0o022, **extra,
        )  # type: ignore[call-overload]  # fmt: skip
    process.returncode = 0  # ``reap`` collects it, also after this process has been replaced by the watching one
    return remember(home, component.name, process.pid, restarts)


def reap() -> None:
    """Collect children that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def bring_up(home: Path, component: Component, say: Say) -> None:
    """Adopt the component if it lives, else start it, and wait until it is ready. HostError with its last lines if it never is."""
    if known(home, component.name) and component.ready():
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
        f"{component.name} does not start. Its last words:\n{last_words(home, component.name)}",
        f"see {home}/logs/{component.name}.log",
    )


def last_words(home: Path, name: str, lines: int = 8) -> str:
    """The end of a component's log."""
    try:
        return "\n".join(
            f"    {line}" for line in (home / "logs" / f"{name}.log").read_text(errors="replace").splitlines()[-lines:]
        )
    except OSError:
        return "    (no log)"


class Keeper:
    """Watches the components of one installation until it is told to stop."""

    def __init__(self, home: Path, components: Sequence[Component | Watched], say: Say) -> None:
        self.home = home
        self.components = {component.name: component for component in components}
        self.say = say
        self.pause = dict.fromkeys(self.components, 1.0)
        self.due: dict[str, float] = {}
        self.stopping = False

    def run(self, ready: Callable[[], object] = bool) -> None:
        """Watch by pidfd, so that components that are not children are watched too; returns after TERM or INT.

        ``ready`` is called as soon as these signals are heeded.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        ready()
        while not self.stopping:
            poll, names = select.poll(), {}
            for name in self.components:
                who = known(self.home, name)
                handle = open_pidfd(who) if who else None
                if handle is not None:
                    poll.register(handle, select.POLLIN)
                    names[handle] = name
                elif name not in self.due:
                    self._died(name)
            poll.poll(500)
            for handle in names:
                os.close(handle)
            reap()
            self._restart_due()

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def _died(self, name: str) -> None:
        """Decide when it is started again: sooner if it had run for long."""
        since = details(self.home, name).get("since", 0.0)
        if time.time() - since > STEADY:
            self.pause[name] = 1.0
        quick = time.time() - since > 2.0
        wait = 0.0 if quick and self.pause[name] <= 1.0 else self.pause[name]
        self.pause[name] = min(self.pause[name] * 2, LONGEST)
        self.due[name] = time.monotonic() + wait
        self.say(f"{name} ended; starting it again in {wait:.0f} s")

    def _restart_due(self) -> None:
        for name, moment in list(self.due.items()):
            if time.monotonic() < moment:
                continue
            del self.due[name]
            try:
                who = start(self.home, self.components[name], details(self.home, name).get("restarts", 0) + 1)
                self.say(f"{name} runs again as pid {who.pid}")
            except (HostError, OSError) as error:
                self.say(f"{name} does not start: {error}")


def stop(home: Path, name: str, number: int, seconds: float) -> bool:
    """Signal a component and wait; KILL when it does not end. True if it ran."""
    who = known(home, name)
    if who is None:
        pid_file(home, name).unlink(missing_ok=True)
        return False
    send_signal(who, number)
    if wait_gone([who], seconds):
        send_signal(who, signal.SIGKILL)
        wait_gone([who], 5)
    reap()
    pid_file(home, name).unlink(missing_ok=True)
    return True


def detach(log: Path) -> int:
    """Fork twice; 0 in the grandchild, which has a session and output of its own, and the middle child's pid in the caller."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return pid
    os.setsid()
    if os.fork():
        os._exit(0)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    null = os.open(os.devnull, os.O_RDONLY)
    sys.stdout.flush()
    sys.stderr.flush()
    for target, source in ((0, null), (1, handle), (2, handle)):
        os.dup2(source, target)
    return 0
