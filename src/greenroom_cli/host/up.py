"""``greenroom up``: checks the machine, makes home and keys, brings the components up in order, and stays to watch
them.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from greenroom.basics.processes import Identity, identity
from greenroom_cli.host import (
    engine_processes,
    keys,
    locks,
    mount_namespace,
    ports,
    processes,
    unlisted_processes,
    users,
)
from greenroom_cli.host import home as homes
from greenroom_cli.host.components import Component, control_environment, needed_paths, table
from greenroom_cli.host.down import end_component, take_down
from greenroom_cli.host.errors import HostError
from greenroom_cli.host.home import Installation
from greenroom_cli.host.watch import become, say

NEEDED_BYTES = 500_000_000
UP_SECONDS = 240
PORT_SECONDS = 60.0
HOST = "host"


def up(home: Path, install: Installation, *, detached: bool) -> None:
    """Bring everything up; returns when it is up (detached) or when it has been taken down (foreground)."""
    check(home, install)
    if install.mode == "root":
        uid, gid = users.ensure()
        install = replace(install, control_user=homes.CONTROL_USER, control_uid=uid, control_gid=gid)
    homes.make_folders(home, install)
    homes.write(home, install)
    owner = (install.control_uid, install.control_gid) if install.mode == "root" else None
    keys.make_all(home, owner, proxied=bool(install.proxy_port), host=install.host)
    if not detached:
        _host(home, install)
        return
    said, heard = os.pipe()
    if processes.detach(home / "logs" / "host.log") == 0:
        os.close(said)
        _background(home, install, heard)
    os.close(heard)
    _await(home, said)


def check(home: Path, install: Installation) -> None:
    """What would make the start fail later is said now, in one line."""
    if sys.version_info < (3, 11):  # noqa: UP036 - run by whatever python3 there is
        raise HostError(
            f"Greenroom needs Python 3.11 or newer; this is {sys.version.split()[0]}.", "use a newer python3"
        )
    if not sys.platform.startswith("linux"):
        raise HostError(f"Greenroom runs on Linux; this is {sys.platform}.", "run it in a Linux machine")
    running = processes.known(home, HOST)
    if running:
        raise HostError(f"Greenroom is up already in {home} (pid {running.pid}).", f"greenroom status --home {home}")
    _check_disk(home)
    ports.check(home, install)


def _check_disk(home: Path) -> None:
    place = home
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        raise HostError(f"{place} cannot be written to.", "choose another --home")
    free = shutil.disk_usage(place).free
    if free < NEEDED_BYTES:
        raise HostError(
            f"The disk of {home} has {free // 1_000_000} MB free; Greenroom needs 500 MB.",
            "free some, or choose another --home",
        )


def _background(home: Path, install: Installation, heard: int) -> None:
    """The body of the detached host process; tells its parent how it went by a pipe, which no full disk can close."""

    def tell(text: str) -> None:
        with contextlib.suppress(OSError):  # whoever waited has gone
            os.write(heard, text.encode())
        os.close(heard)

    try:
        _host(home, install, lambda: tell("up"))
    except HostError as error:
        tell(f"{error.message}\n\0{error.hint}")
        os._exit(1)
    except BaseException as error:
        tell(f"the host process failed: {error!r}\n\0see {home}/logs/host.log")
        raise
    os._exit(0)


def _await(home: Path, said: int) -> None:
    poll = select.poll()
    poll.register(said, select.POLLIN)
    text = ""
    if poll.poll(UP_SECONDS * 1000):
        with os.fdopen(said, "rb") as file:
            text = file.read().decode()
        if text == "up":
            return
    message, _, hint = text.partition("\n\0")
    raise HostError(message or f"Greenroom did not come up within {UP_SECONDS} s.", hint or f"see {home}/logs/host.log")


def _host(home: Path, install: Installation, when_up: object = None) -> None:
    """The host process: veil, components, then watching; TERM or Ctrl-C takes everything down."""
    _be_the_only_one(home)
    stop = False

    def note(*_: object) -> None:
        nonlocal stop
        stop = True

    signal.signal(signal.SIGTERM, note)
    if install.mode == "root":
        for folder in mount_namespace.put_on([home, *needed_paths()]):
            say(f"{folder} is closed to other users; veiled for Greenroom's own processes")
    components = table(home, install)
    _start(home, install, components)
    if callable(when_up):
        when_up()
    else:
        print(summary(home, install), file=sys.stderr, flush=True)
    if stop:
        take_down(home, say)
        return
    become(home, components)


def _be_the_only_one(home: Path) -> None:
    """Hold the host's lock for as long as this process lives, also after it has become the watching one."""
    lock = locks.take(home, HOST)
    if lock is None:
        raise HostError(
            f"Greenroom is being brought up in {home} by another process.", f"greenroom status --home {home}"
        )
    for who in unlisted_processes.components(home).get(HOST, []):
        raise HostError(f"Greenroom is up already in {home} (pid {who.pid}).", f"greenroom down --home {home}")
    os.set_inheritable(lock, True)  # over the execv; components close what is not theirs
    own = identity(os.getpid())
    if own:
        processes.remember(home, HOST, own)


def _start(home: Path, install: Installation, components: list[Component]) -> None:
    """Bring all components up. On failure only what this call has started is ended: what served goes on serving."""
    found = unlisted_processes.components(home)
    for component in components:
        _end_strays(home, component.name, found.get(component.name, []))
    lived = {component.name for component in components if processes.known(home, component.name)}
    alone = not lived and not engine_processes.shims(home)
    try:
        for component in components:
            if component.name == "web":
                bootstrap(home, install)
            processes.bring_up(home, component, say)
        _await_ports(home, install)
    except (HostError, OSError, KeyboardInterrupt):
        if alone:
            take_down(home, say)
            raise
        say(f"ending what was started; {', '.join(sorted(lived)) or 'dynos'} go on")
        for name in [component.name for component in reversed(components) if component.name not in lived]:
            end_component(home, name, [], say)
        processes.forget(processes.pid_file(home, HOST))
        raise


def _end_strays(home: Path, name: str, found: list[Identity]) -> None:
    """End what runs beside the component that is known. Where none is known, one that apps need is adopted."""
    known = processes.known(home, name)
    others = [who for who in found if who != known]
    if known is None and others and name in ("caddy", "postgres", "supervisor"):
        processes.remember(home, name, others.pop(0))
    if others:
        say(f"{name}: ending {len(others)} that nobody watches, pid {', '.join(str(who.pid) for who in others)}")
        processes.end(others, signal.SIGTERM, 8)


def _await_ports(home: Path, install: Installation) -> None:
    """HostError unless somebody listens on each port; the router opens its own when the worker has configured it."""
    deadline = time.monotonic() + PORT_SECONDS
    while silent := ports.silent(install):
        if time.monotonic() > deadline:
            port = silent[0]
            words = processes.last_words(home, port.owner, 3)
            raise HostError(
                f"{port.owner} does not listen on port {port.number} ({port.name}). Its last words:\n{words}",
                f"greenroom up {port.option} N chooses another; see {home}/logs/{port.owner}.log",
            )
        time.sleep(0.1)


def bootstrap(home: Path, install: Installation) -> None:
    """Bring the control plane's schema up and make the first administrator."""
    argv = [sys.executable, "-m", "greenroom.project.bootstrap"]
    extra = (
        {"user": install.control_uid, "group": install.control_gid, "extra_groups": []}
        if install.mode == "root"
        else {}
    )
    env = control_environment(home, install)
    result = subprocess.run(argv, env=env, cwd=home, capture_output=True, text=True, check=False, **extra)  # type: ignore[call-overload]
    if result.returncode:
        lines = result.stderr.strip().splitlines() or ["no words"]
        hint = next((line.removeprefix("hint: ") for line in lines if line.startswith("hint: ")), f"see {home}/logs")
        text = "\n".join(lines[-12:]) if "Traceback" in result.stderr else lines[0]
        raise HostError(f"The control plane does not start: {text}", hint)


def summary(home: Path, install: Installation) -> str:
    """What a person needs to go on."""
    mode = (
        "root: each app has a user of its own"
        if install.mode == "root"
        else "development: all apps run as you; see `greenroom doctor`"
    )
    return (
        f"\nGreenroom is up in {home} ({mode})\n"
        f"  API and git   http://localhost:{install.api_port}\n"
        f"  apps          http://<app>.localhost:{install.http_port}\n"
        f"  token         {home}/keys/admin.token\n"
        f'  next          eval "$(greenroom env --home {home})"; greenroom create\n'
    )
