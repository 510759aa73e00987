"""The plans of ``server:install`` and ``server:uninstall``, as lists of acts."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from greenroom_cli import catalogue
from greenroom_cli.host import home as homes
from greenroom_cli.host import names, processes, users
from greenroom_cli.host.errors import HostError
from greenroom_cli.host.home import CONTROL_USER, POSTGRES_USER, Installation
from greenroom_cli.host.server import acts, units
from greenroom_cli.host.server.acts import Act

KEPT = ("users.lock", "uids.json")
"""Files in /var/lib/greenroom about all installations of the machine, and not about the one in it."""


def program() -> Path:
    """The ``greenroom`` command beside this interpreter, for the units. HostError when it is missing."""
    found = Path(sys.executable).parent / "greenroom"
    why = "" if found.exists() else "does not exist"
    if why or (why := units.unwritable(found)):
        raise HostError(f"{found} {why}.", "install Greenroom with `pip install` or `uv tool install`, then call it")
    return found


def read_environment(path: Path = units.ENVIRONMENT) -> None:
    """Set the variables of the settings file that are not set, as systemd does for the unit. HostError for an open
    quotation mark.
    """
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return
    for number, line in enumerate(lines, 1):
        name, separator, value = line.strip().partition("=")
        if not separator or not name.isidentifier():
            continue
        try:
            os.environ.setdefault(name, "".join(shlex.split(value)[:1]))
        except ValueError as error:
            raise HostError(f"{path}, line {number}: {error}.", "close the quotation mark") from error


def settled(home: Path, asked: names.Asked, ports: tuple[int | None, int | None, int | None]) -> Installation:
    """The settings of the installation: public at 80 and 443, the API at the router only. HostError."""
    stored = homes.read(home)
    if not asked.domain and (stored is None or stored.domain == names.LOCAL):
        raise HostError("--domain is missing.", "greenroom server:install --domain staging.example.org --email YOU")
    api, http, https = ports
    first = () if stored else (80, 443)
    install = homes.settle(
        home,
        api,
        http or next(iter(first), None),
        https or next(iter(first[1:]), None),
        bind="0.0.0.0",  # noqa: S104 - a server answers the public
        asked=replace(
            asked,
            certificates=asked.certificates or (stored.certificates if stored else names.ACME),
            api_bind="127.0.0.1",
        ),
    )
    if install.certificates == names.ACME and not install.email:
        raise HostError("--email is missing: the CA writes to it before a certificate ends.", "add --email YOU")
    return install


def plan(home: Path, install: Installation, asked: names.Asked) -> list[Act]:
    """The acts of ``server:install``, in their order."""
    stored = homes.read(home)
    made: dict[str, Installation] = {}

    def make_home() -> None:
        uid, gid = users.ensure()
        made["it"] = replace(install, control_user=CONTROL_USER, control_uid=uid, control_gid=gid)
        homes.make_folders(home, made["it"])
        names.take_root(home, asked)
        homes.write(home, made["it"])

    unwanted = ("control_user", "control_uid", "control_gid", "created_at")
    same = stored is not None and all(
        getattr(stored, name) == getattr(install, name)
        for name in Installation.__dataclass_fields__
        if name not in unwanted
    )
    settings = Act(f"write the settings of {install.domain} to {home / homes.FILE}", not same, make_home)
    rows = [*(_user(name) for name in (CONTROL_USER, POSTGRES_USER)), settings]
    rows.append(acts.write_once(units.ENVIRONMENT, units.environment(), 0o600))
    backup = "backup" in {**catalogue.HOST, **catalogue.COMMANDS}
    files = [acts.write(path, text) for path, text in units.files(home, program(), backup=backup).items()]
    changed = any(act.needed for act in (settings, *files))
    return [*rows, *files, *_service(home, changed=changed, moved=_moved(stored, install), backup=backup)]


def _user(name: str) -> Act:
    return Act(f"create the system user {name}", users.find(name) is None, users.ensure)


def _moved(stored: Installation | None, install: Installation) -> bool:
    """Whether the router has to be started anew, because it needs another right or address."""
    return stored is not None and any(
        getattr(stored, name) != getattr(install, name) for name in ("http_port", "https_port", "bind", "api_port")
    )


def _service(home: Path, *, changed: bool, moved: bool, backup: bool) -> list[Act]:
    """The acts that make systemd run the installation. None while it is not the init system."""
    if not acts.booted():
        return []
    active = acts.is_active(units.SERVICE)
    down = [program(), "down", "--home", home]
    rows = [
        acts.systemctl("daemon-reload", needed=changed),
        acts.systemctl("enable", units.SERVICE, needed=not acts.is_enabled(units.SERVICE)),
    ]
    if backup:
        rows.append(acts.systemctl("enable", "--now", units.TIMER, needed=not acts.is_enabled(units.TIMER)))
    if moved and processes.known(home, "caddy"):
        rows.append(acts.systemctl("stop", units.SERVICE, needed=active))
        rows.append(Act("stop everything, because ports change", True, lambda: acts.run([str(it) for it in down])))
        return [*rows, acts.systemctl("start", units.SERVICE)]
    verb = "restart" if active else "start"
    return [*rows, acts.systemctl(verb, units.SERVICE, needed=changed or not active)]


def removal(home: Path, *, purge: bool) -> list[Act]:
    """The acts of ``server:uninstall``. The data stays unless ``purge``."""
    rows = []
    if acts.booted():
        for unit in (units.TIMER, units.SERVICE):
            rows.append(acts.systemctl("disable", "--now", unit, needed=(units.UNITS / unit).exists()))
        rows.append(acts.systemctl("stop", units.SHUTDOWN, needed=acts.is_active(units.SHUTDOWN)))
    running = any(processes.known(home, name) for name in ("host", "postgres", "caddy", "web", "worker", "supervisor"))
    down = [str(program()), "down", "--home", str(home)]
    rows.append(Act("stop dynos, router and database", running, lambda: acts.run(down, hint=shlex.join(down))))
    for name in (units.SERVICE, units.SHUTDOWN, units.BACKUP, units.TIMER):
        rows.append(acts.remove(units.UNITS / name))
    rows.append(acts.remove(units.PROFILE))
    if acts.booted():
        rows.append(acts.systemctl("daemon-reload", needed=(units.UNITS / units.SERVICE).exists()))
    if purge:
        rows += [acts.remove(path) for path in _data(home)]
        rows.append(acts.remove(units.ENVIRONMENT))
    return rows


def _data(home: Path) -> list[Path]:
    """The content of the home, without the files of the whole machine. HostError for a folder that is no home."""
    found = sorted(path for path in home.iterdir() if path.name not in KEPT) if home.exists() else []
    if found and homes.read(home) is None:
        raise HostError(f"{home} has no {homes.FILE}: it is not an installation.", "remove it by hand")
    return found
