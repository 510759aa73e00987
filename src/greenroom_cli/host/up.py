"""``greenroom up``: checks the machine, makes home and keys, brings the components up in order, and stays to watch them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from greenroom_cli.host import home as homes
from greenroom_cli.host import keeper, keys, users, veil
from greenroom_cli.host.components import control_environment, needed_paths, port_is_free, table
from greenroom_cli.host.down import take_down
from greenroom_cli.host.errors import HostError
from greenroom_cli.host.home import Installation
from greenroom_cli.host.watch import become, say

NEEDED_BYTES = 500_000_000
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
    ready = home / "run" / "host.result"
    ready.unlink(missing_ok=True)
    if keeper.detach(home / "logs" / "host.log") == 0:
        _background(home, install, ready)
    _await(home, ready)


def check(home: Path, install: Installation) -> None:
    """What would make the start fail later is said now, in one line."""
    if sys.version_info < (3, 11):  # noqa: UP036 - a checkout may be run by any
        raise HostError(
            f"Greenroom needs Python 3.11 or newer; this is {sys.version.split()[0]}.", "use a newer python3"
        )
    if not sys.platform.startswith("linux"):
        raise HostError(f"Greenroom runs on Linux; this is {sys.platform}.", "run it in a Linux machine")
    running = keeper.known(home, HOST)
    if running:
        raise HostError(f"Greenroom is up already in {home} (pid {running.pid}).", f"greenroom status --home {home}")
    _check_disk(home)
    for option, port, owner in (
        ("--api-port", install.api_port, "web"), ("--api-port", install.tls_port, "web"), ("--api-port", install.rendezvous_port, "web"),
        ("--api-port", install.pg_port, "postgres"), ("--http-port", install.http_port, "caddy"), ("--https-port", install.https_port, "caddy"),
        ("--proxy-port", install.proxy_port, "web"),
    ):  # fmt: skip
        if not port or (owner == "postgres" and install.postgres != "embedded"):
            continue
        if not port_is_free(port) and keeper.known(home, owner) is None:
            raise HostError(
                f"Port {port} on 127.0.0.1 is in use by another program.", f"greenroom up {option} N chooses another"
            )


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


def _background(home: Path, install: Installation, ready: Path) -> None:
    """The body of the detached host process; tells its parent how it went by a file."""
    try:
        _host(home, install, lambda: ready.write_text("up"))
    except HostError as error:
        ready.write_text(f"{error.message}\n\0{error.hint}")
        os._exit(1)
    except BaseException as error:
        ready.write_text(f"the host process failed: {error!r}\n\0see {home}/logs/host.log")
        raise
    os._exit(0)


def _await(home: Path, ready: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        if ready.exists() and (text := ready.read_text()):
            if text == "up":
                return
            message, _, hint = text.partition("\n\0")
            raise HostError(message, hint)
        time.sleep(0.05)
    raise HostError("Greenroom did not come up within 180 s.", f"see {home}/logs/host.log")


def _host(home: Path, install: Installation, when_up: object = None) -> None:
    """The host process: veil, components, then watching; TERM or Ctrl-C takes everything down."""
    keeper.remember(home, HOST, os.getpid())
    stop = False

    def note(*_: object) -> None:
        nonlocal stop
        stop = True

    signal.signal(signal.SIGTERM, note)
    if install.mode == "root":
        for folder in veil.put_on([home, *needed_paths()]):
            say(f"{folder} is closed to other users; veiled for Greenroom's own processes")
    components = table(home, install)
    try:
        for component in components:
            if component.name == "web":
                bootstrap(home, install)
            keeper.bring_up(home, component, say)
    except (HostError, KeyboardInterrupt):
        take_down(home, say)
        raise
    if callable(when_up):
        when_up()
    else:
        print(summary(home, install), file=sys.stderr, flush=True)
    if stop:
        take_down(home, say)
        return
    become(home, components)


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
