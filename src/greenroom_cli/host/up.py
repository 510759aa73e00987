"""``greenroom up``: checks the machine, creates the home folder and keys, starts the components and watches them."""

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
    code,
    engine_processes,
    keys,
    locks,
    mount_namespace,
    names,
    ports,
    postgres,
    postgres_choice,
    processes,
    service_manager,
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
UPGRADE = "upgrade"
"""The name of the lock that ``greenroom upgrade`` holds."""
UPGRADE_SECONDS = 1800.0


def up(home: Path, install: Installation, *, detached: bool, upgrading: bool = False) -> None:
    """Start everything. Returns when all components are up (detached) or have been stopped (foreground). HostError.

    upgrading: ``greenroom upgrade`` calls it. Everybody else waits for the end of an upgrade.
    """
    if not upgrading:
        _await_upgrade(home)
    if (home / homes.UNFINISHED).exists():
        raise HostError(f"The restore into {home} has not ended.", "run the same greenroom restore again")
    postgres_choice.use(install.postgres_bin)
    check(home, install)
    if install.mode == "root":
        uid, gid = users.ensure()
        install = replace(install, control_user=homes.CONTROL_USER, control_uid=uid, control_gid=gid)
    homes.make_folders(home, install)
    homes.write(home, install)
    owner = (install.control_uid, install.control_gid) if install.mode == "root" else None
    keys.make_all(
        home,
        owner,
        proxied=bool(install.proxy_port),
        host=install.host,
        domain=install.domain,
        own=install.certificates == names.OWN,
    )
    if not detached:
        _host(home, install)
        return
    reader, writer = os.pipe()
    if processes.detach(home / "logs" / "host.log") == 0:
        os.close(reader)
        _background(home, install, writer)
    os.close(writer)
    _await(home, reader)


def _await_upgrade(home: Path) -> None:
    """Wait until no upgrade runs: a service manager starts the host process again when an upgrade has ended it."""
    deadline, told = time.monotonic() + UPGRADE_SECONDS, False
    while (home / "run").is_dir() and locks.holders(home, UPGRADE):
        if time.monotonic() > deadline:
            raise HostError(f"An upgrade of {home} does not end.", f"greenroom status --home {home}")
        if not told:
            say("waiting for the end of greenroom upgrade")
        told = True
        time.sleep(0.5)


def check(home: Path, install: Installation) -> None:
    """Check the prerequisites before anything is created or started. HostError."""
    if sys.version_info < (3, 11):  # noqa: UP036 - an older python3 may run this
        raise HostError(
            f"Greenroom needs Python 3.11 or newer; this is {sys.version.split()[0]}.", "use a newer python3"
        )
    if not sys.platform.startswith("linux"):
        raise HostError(f"Greenroom runs on Linux; this is {sys.platform}.", "run it on a Linux machine")
    running = processes.known(home, HOST)
    if running:
        raise HostError(f"Greenroom is already up in {home} (pid {running.pid}).", f"greenroom status --home {home}")
    _check_disk(home)
    if install.postgres == "embedded":
        postgres.check_version(home)
    ports.check(home, install)


def _check_disk(home: Path) -> None:
    folder = home
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        raise HostError(f"{folder} is not writable.", "choose another --home")
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise HostError(
            f"The disk of {home} has {free // 1_000_000} MB free; Greenroom needs 500 MB.",
            "free disk space, or choose another --home",
        )


def _background(home: Path, install: Installation, writer: int) -> None:
    """The body of the detached host process. Reports the result to its parent through a pipe, which works even on a
    full disk.
    """

    def report(text: str) -> None:
        with contextlib.suppress(OSError):  # the parent has gone
            os.write(writer, text.encode())
        os.close(writer)

    try:
        _host(home, install, lambda: report("up"))
    except HostError as error:
        report(f"{error.message}\n\0{error.hint}")
        os._exit(1)
    except BaseException as error:
        report(f"The host process failed: {error!r}\n\0see {home}/logs/host.log")
        raise
    os._exit(0)


def _await(home: Path, reader: int) -> None:
    """Wait for the report of the detached host process. HostError when it failed, or on timeout."""
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    text = ""
    if poll.poll(UP_SECONDS * 1000):
        with os.fdopen(reader, "rb") as file:
            text = file.read().decode()
        if text == "up":
            return
    message, _, hint = text.partition("\n\0")
    raise HostError(message or f"Greenroom did not come up within {UP_SECONDS} s.", hint or f"see {home}/logs/host.log")


def _host(home: Path, install: Installation, when_up: object = None) -> None:
    """The host process: mount namespace, components, then ``host.watch``. SIGTERM or Ctrl-C stops everything."""
    _be_the_only_one(home)
    stop = False

    def note(*_: object) -> None:
        nonlocal stop
        stop = True

    signal.signal(signal.SIGTERM, note)
    if install.mode == "root":
        for folder in mount_namespace.put_on([home, *needed_paths()]):
            say(f"{folder} is closed to other users; made accessible to Greenroom in a mount namespace")
    components = table(home, install)
    _start(home, install, components)
    if callable(when_up):
        when_up()
    else:
        print(summary(home, install), file=sys.stderr, flush=True)
        service_manager.tell_ready()
    if stop:
        take_down(home, say)
        return
    become(home, components)


def _be_the_only_one(home: Path) -> None:
    """Take the host's lock for the lifetime of this process, also after its exec of ``host.watch``. HostError."""
    lock = locks.take(home, HOST)
    if lock is None:
        raise HostError(f"Another process is starting Greenroom in {home}.", f"greenroom status --home {home}")
    for who in unlisted_processes.components(home).get(HOST, []):
        raise HostError(f"Greenroom is already up in {home} (pid {who.pid}).", f"greenroom down --home {home}")
    os.set_inheritable(lock, True)  # kept across execv; components close it
    own = identity(os.getpid())
    if own:
        processes.remember(home, HOST, own)


def _start(home: Path, install: Installation, components: list[Component]) -> None:
    """Start all components. On failure, stop only those that this call has started."""
    found = unlisted_processes.components(home)
    for component in components:
        _end_strays(home, component.name, found.get(component.name, []))
    lived = {component.name for component in components if processes.known(home, component.name)}
    fresh = "web" not in lived
    alone = not lived and not engine_processes.part(install.engine).dynos(home)
    try:
        for component in components:
            if component.name == "web":
                bootstrap(home, install)
            processes.bring_up(home, component, say)
        _await_ports(home, install)
        if fresh:
            code.remember(home, code.installed())
    except (HostError, OSError, KeyboardInterrupt):
        if alone:
            take_down(home, say)
            raise
        say(f"start failed: stopping the new components; {', '.join(sorted(lived)) or 'dynos'} keep running")
        for name in [component.name for component in reversed(components) if component.name not in lived]:
            end_component(home, name, [], say)
        processes.forget(processes.pid_file(home, HOST))
        raise


def _end_strays(home: Path, name: str, found: list[Identity]) -> None:
    """Stop duplicate processes of a component. If none is known, adopt the oldest one of those that apps need."""
    known = processes.known(home, name)
    others = [who for who in found if who != known]
    if known is None and others and name not in ("web", "worker"):
        processes.remember(home, name, others.pop(0))
    if others:
        say(f"{name}: stopping {len(others)} orphaned, pid {', '.join(str(who.pid) for who in others)}")
        processes.end(others, signal.SIGTERM, 8)


def _await_ports(home: Path, install: Installation) -> None:
    """Wait until all ports are listening; the router opens its ports after the worker has configured it. HostError on
    timeout.
    """
    deadline = time.monotonic() + PORT_SECONDS
    while silent := ports.silent(install):
        if time.monotonic() > deadline:
            port = silent[0]
            log = processes.log_tail(home, port.owner, 3)
            raise HostError(
                f"{port.owner} does not listen on port {port.number} ({port.name}). The end of its log:\n{log}",
                f"choose another: greenroom up {port.option} N; see {home}/logs/{port.owner}.log",
            )
        time.sleep(0.1)


def bootstrap(home: Path, install: Installation) -> None:
    """Migrate the control plane's database and create the first administrator. HostError."""
    argv = [sys.executable, "-m", "greenroom.project.bootstrap"]
    extra = (
        {"user": install.control_uid, "group": install.control_gid, "extra_groups": []}
        if install.mode == "root"
        else {}
    )
    env = control_environment(home, install)
    options = {"env": env, "cwd": home, "capture_output": True, "text": True, "check": False}
    result = subprocess.run(argv, **options, **extra)  # type: ignore[call-overload]
    if result.returncode:
        lines = result.stderr.strip().splitlines() or ["no error message"]
        hint = next((line.removeprefix("hint: ") for line in lines if line.startswith("hint: ")), f"see {home}/logs")
        text = "\n".join(lines[-12:]) if "Traceback" in result.stderr else lines[0]
        raise HostError(f"The control plane does not start: {text}", hint)


def summary(home: Path, install: Installation) -> str:
    """The message after a successful start: URLs, token file and next command."""
    mode = (
        "root: each app has its own system user"
        if install.mode == "root"
        else "development: all apps run as your user; see `greenroom doctor`"
    )
    public = install.domain != names.LOCAL
    api = names.url("https", install.domain, install.https_port) if public else f"http://localhost:{install.api_port}"
    scheme, port = ("https", install.https_port) if public else ("http", install.http_port)
    return (
        f"\nGreenroom is up in {home} ({mode})\n"
        f"  API and git   {api}\n"
        f"  apps          {names.url(scheme, f'<app>.{install.domain}', port)}\n"
        f"  token         {home}/keys/admin.token\n"
        f'  next          eval "$(greenroom env --home {home})"; greenroom create\n'
    )
