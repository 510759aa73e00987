"""``greenroom restore``: an installation from a backup set, in an empty home.

The file ``restore.unfinished`` in the home marks a restore that has not ended: ``up`` refuses such a home, and a
repeated restore empties it and starts again.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from greenroom.basics.errors import GreenroomError
from greenroom.project.backups import archives, manifest, sealed
from greenroom_cli.host import (
    backup,
    down,
    keys,
    locks,
    mount_namespace,
    names,
    postgres,
    postgres_choice,
    processes,
    up,
    users,
)
from greenroom_cli.host import home as homes
from greenroom_cli.host.components import needed_paths, table
from greenroom_cli.host.errors import HostError
from greenroom_cli.host.home import UNFINISHED, Installation

MODULE = "greenroom.project.backups.load"
STAGE = "restore"
KEPT = (
    "host",
    "bind",
    "api_bind",
    "domain",
    "certificates",
    "email",
    "acme_ca",
    "acme_root",
    "trusted_proxies",
)
"""Settings that a restored installation has from the set, whatever the machine."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Ports:
    """The ports that the operator asks for; None: those of the set."""

    api: int | None = None
    http: int | None = None
    https: int | None = None


def restore(folder: Path, home: Path, *, passphrase_file: Path | None, ports: Ports, say: Say) -> dict[str, Any]:
    """Restore the set into the home; returns {apps, created_at, seconds, path}. HostError."""
    started = time.monotonic()
    try:
        it = manifest.chosen(folder)
        secret = _passphrase(passphrase_file)
        _refuse_used(home)
        manifest.verify(it, say)
        sealed_keys = (it.folder / manifest.KEYS).read_bytes()
        content = sealed.unseal(sealed_keys, passphrase=secret, bound_to=manifest.bound(it.data))
    except GreenroomError as error:
        raise HostError(error.message, error.hint) from error
    install = _installation(home, it, ports)
    _check_room(it, home)
    _check_server(it, home, install)
    up.check(home, install)
    home.mkdir(parents=True, exist_ok=True)
    mark = _mark(home)
    install = _prepare(home, install)
    staged = _stage(it, home, install)
    try:
        archives.unpack_keys(content, home, backup.owner_of(install))
        names.publish_root(home)
        result = _load(home, install, staged, say)
    except GreenroomError as error:
        raise HostError(error.message, error.hint) from error
    finally:
        down.take_down(home, say)
    shutil.rmtree(home / STAGE, ignore_errors=True)
    homes.write(home, install)
    (home / UNFINISHED).unlink()
    os.close(mark)
    seconds = round(time.monotonic() - started, 1)
    return {**result, "created_at": it.data["created_at"], "seconds": seconds, "path": str(it.folder)}


def _passphrase(path: Path | None) -> str:
    if path is None:
        raise HostError(
            "The keys of a backup are sealed: a restore needs their passphrase.",
            "--passphrase-file FILE, a copy of keys/backup.passphrase of the old home",
        )
    return backup.read_passphrase(path)


def _refuse_used(home: Path) -> None:
    """HostError unless the home is empty. What an unfinished restore has left is stopped and removed."""
    if not home.exists() or not any(home.iterdir()):
        return
    if not (home / UNFINISHED).exists():
        raise HostError(f"{home} is not empty; a restore does not change an installation.", "choose another --home")
    os.close(_mark(home))
    down.take_down(home, lambda text: None)
    for path in home.iterdir():
        if path.name != UNFINISHED:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _mark(home: Path) -> int:
    """The locked mark of an unfinished restore. HostError if another process restores into the home."""
    mark = os.open(home / UNFINISHED, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(mark)
        raise HostError(f"Another process restores into {home}.", "wait for its end") from error
    return mark


def _installation(home: Path, it: manifest.Set, ports: Ports) -> Installation:
    """The settings of the set for this machine: its ports and names, this process's mode and database."""
    old = homes.of_stored(it.data["settings"])
    mode = "root" if os.geteuid() == 0 else "development"
    fresh = homes.settle(home, ports.api or old.api_port, ports.http or old.http_port, ports.https or old.https_port)
    kept = {name: getattr(old, name) for name in KEPT}
    install = replace(fresh, **kept, mode=mode, proxy_port=0 if ports.api else old.proxy_port)
    return replace(install, created_at=old.created_at or datetime.now(UTC).isoformat(timespec="seconds"))


def _check_room(it: manifest.Set, home: Path) -> None:
    place = home
    while not place.exists():
        place = place.parent
    free, need = shutil.disk_usage(place).free, 5 * it.bytes
    if free < need:
        raise HostError(
            f"The set has {it.bytes // 1_000_000} MB; its restore needs about {need // 1_000_000} MB, and the disk of"
            f" {home} has {free // 1_000_000} MB free.",
            "free disk space, or choose another --home",
        )


def _check_server(it: manifest.Set, home: Path, install: Installation) -> None:
    """HostError if the set was made by a newer PostgreSQL, whose dumps this one cannot read."""
    postgres_choice.use(install.postgres_bin)
    made_by = int(it.data.get("server_major", 0))
    if install.postgres == "embedded" and (found := postgres.major(home)) < made_by:
        raise HostError(
            f"The set is of PostgreSQL {made_by}, and this installation would use PostgreSQL {found}.",
            f"set GREENROOM_POSTGRES_BIN to the bin folder of a PostgreSQL {made_by} or newer",
        )


def _prepare(home: Path, install: Installation) -> Installation:
    """Create the folders of the home. The keys follow."""
    postgres_choice.use(install.postgres_bin)
    if install.mode == "root":
        uid, gid = users.ensure()
        install = replace(install, control_user=homes.CONTROL_USER, control_uid=uid, control_gid=gid)
    homes.make_folders(home, install)
    return install


def _stage(it: manifest.Set, home: Path, install: Installation) -> Path:
    """Copy the set into the home, for the control plane's user, and verify the copy: that is what will be loaded."""
    staged = home / STAGE
    shutil.copytree(it.folder, staged)
    copy = manifest.read(staged)
    manifest.verify(copy)
    if install.mode == "root":
        for path in [staged, *staged.rglob("*")]:
            os.chown(path, install.control_uid, install.control_gid)
    return staged


def _load(home: Path, install: Installation, staged: Path, say: Say) -> dict[str, Any]:
    """Start PostgreSQL and the engine's program, and load the set."""
    keys.make_all(home, backup.owner_of(install), proxied=bool(install.proxy_port), host=install.host)
    if install.mode == "root":
        mount_namespace.put_on([home, *needed_paths()])
    homes.write(home, install)  # the control plane reads the ports from it
    lock = locks.take(home, up.HOST)
    if lock is None:
        raise HostError(f"Another process works in {home}.", f"greenroom status --home {home}")
    for component in table(home, install):
        if component.name not in ("caddy", "web", "worker"):
            processes.bring_up(home, component, say)
    return backup.run_as_control(home, install, MODULE, {"folder": str(staged)}, lock)
