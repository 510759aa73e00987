"""``greenroom backup``: prepares the folder and the passphrase, and runs the copying as the control plane's user."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greenroom.basics import atomic, backup_record
from greenroom.basics.errors import GreenroomError
from greenroom.project.backups import manifest, sealed
from greenroom_cli.host import locks, mount_namespace, postgres_choice, processes
from greenroom_cli.host.components import control_environment, needed_paths
from greenroom_cli.host.errors import HostError
from greenroom_cli.host.home import Installation

KEEP = 7
PASSPHRASE = "backup.passphrase"  # noqa: S105 - the name of a file
GENERATED = "generated"
GIVEN = "backup.given"
"""A file that says that the operator has given the passphrase, and so has it elsewhere."""
MODULE = "greenroom.project.backups.make"
LOCK = "backup"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Passphrase:
    """origin: ``given`` in a file of the operator, now or before; ``generated`` by Greenroom."""

    text: str
    origin: str


def backup(
    home: Path, install: Installation, *, to: Path | None, passphrase_file: Path | None, keep: int
) -> dict[str, Any]:
    """Make a verified set; returns {path, bytes, seconds, apps, removed, passphrase}. HostError, after the failure was
    recorded.
    """
    postgres_choice.use(install.postgres_bin)
    owner = owner_of(install)
    own_folder(home / backup_record.FOLDER, owner)
    secret = passphrase(home, passphrase_file, owner)
    lock = locks.take(home, LOCK)
    if lock is None:
        raise HostError("Another backup of this installation is running.", f"greenroom status --home {home}")
    begun = backup_record.begin(home, origin=secret.origin, owner=owner)
    try:
        target = folder_of(home, to, owner)
        if install.mode == "root":
            mount_namespace.put_on([home, *needed_paths(), target])
        _refuse_down(home, install)
        task = {"target": str(target), "keep": keep, "passphrase": secret.text}
        result = run_as_control(home, install, MODULE, task, lock)
    except (HostError, GreenroomError, OSError, KeyboardInterrupt) as error:
        backup_record.end(home, begun, error=str(getattr(error, "message", error)) or "interrupted", owner=owner)
        raise
    backup_record.end(home, begun, path=result["path"], size=result["bytes"], owner=owner)
    return {**result, "passphrase": secret.origin}


def owner_of(install: Installation) -> tuple[int, int] | None:
    """(uid, gid) of the control plane's user in root mode."""
    return (install.control_uid, install.control_gid) if install.mode == "root" else None


def own_folder(folder: Path, owner: tuple[int, int] | None) -> None:
    """Create a folder that only the control plane may enter."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        if owner:
            os.chown(folder, *owner)
    except OSError as error:
        raise HostError(f"{folder} cannot be used: {error.strerror}.", "choose another folder with --to") from error


def folder_of(home: Path, to: Path | None, owner: tuple[int, int] | None) -> Path:
    """The folder of this installation's sets: ``backups`` of the home, or ``greenroom-ID`` in ``to``."""
    if to is None:
        return home / backup_record.FOLDER
    target = to.absolute() / f"greenroom-{identity(home)}"
    own_folder(target, owner)
    return target


def identity(home: Path) -> str:
    """Eight hex digits that tell installations apart. A restored one keeps them: they come from its CA."""
    try:
        return hashlib.sha256((home / "ca.pem").read_bytes()).hexdigest()[:8]
    except OSError as error:
        raise HostError(
            f"{home / 'ca.pem'} cannot be read: {error.strerror}.", f"greenroom up --home {home}"
        ) from error


def passphrase(home: Path, given: Path | None, owner: tuple[int, int] | None) -> Passphrase:
    """The passphrase of the operator's file, else the stored one, else a new one, which is stored. HostError."""
    stored, mark = home / "keys" / PASSPHRASE, home / "keys" / GIVEN
    if given is not None:
        text = read_passphrase(given)
        _store(stored, text, owner)
        _store(mark, "", owner)
        return Passphrase(text, "given")
    if not stored.exists():
        mark.unlink(missing_ok=True)
        _store(stored, secrets.token_urlsafe(24), owner)
    return Passphrase(stored.read_text().strip(), "given" if mark.exists() else GENERATED)


def read_passphrase(path: Path) -> str:
    """The first line of a file. HostError if it is unreadable or too short."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.readline(10_000).strip()
    except (OSError, ValueError) as error:
        raise HostError(f"The passphrase file {path} cannot be read: {error}.", "--passphrase-file FILE") from error
    if len(text) < sealed.SHORTEST:
        raise HostError(
            f"The passphrase in {path} is too short: its first line needs at least {sealed.SHORTEST} characters.",
            f"for example: (umask 077; openssl rand -base64 24 > {path})",
        )
    return text


def _store(path: Path, text: str, owner: tuple[int, int] | None) -> None:
    atomic.write(path, text + "\n", mode=0o600, sync=True)
    if owner:
        os.chown(path, *owner)


def _refuse_down(home: Path, install: Installation) -> None:
    from greenroom_cli.host import engine_processes

    program = engine_processes.part(install.engine).program
    needed = [*(["postgres"] if install.postgres == "embedded" else []), *([program.name] if program else [])]
    down = [name for name in needed if processes.known(home, name) is None]
    if down:
        raise HostError(
            f"A backup needs the running installation, and {', '.join(down)} is down.",
            f"greenroom up --home {home} --detach",
        )


def run_as_control(
    home: Path, install: Installation, module: str, task: dict[str, Any], lock: int | None
) -> dict[str, Any]:
    """Run a module of the control plane as its user, with the task on stdin; returns its JSON. Its progress goes to
    stderr. It inherits the lock, so that the lock lasts as long as the work. HostError with its error.
    """
    extra: dict[str, Any] = {}
    if install.mode == "root":
        extra = {"user": install.control_uid, "group": install.control_gid, "extra_groups": []}
    child = subprocess.Popen(
        [sys.executable, "-m", module],
        env=control_environment(home, install),
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=() if lock is None else (lock,),
        **extra,
    )
    lines: list[str] = []
    reader = threading.Thread(target=_relay, args=(child, lines), daemon=True)
    reader.start()
    try:
        assert child.stdin
        assert child.stdout
        child.stdin.write(json.dumps(task))
        child.stdin.close()
        out = child.stdout.read()
        code = child.wait()
    except BaseException:
        child.terminate()
        child.wait()
        raise
    reader.join()
    if code:
        raise _error(out, lines, home)
    found: dict[str, Any] = json.loads(out)
    return found


def _relay(child: subprocess.Popen[str], lines: list[str]) -> None:
    """Show progress; keep the last other lines, which explain a failure."""
    assert child.stderr
    for line in child.stderr:
        if line.startswith("-----> "):
            print(line, end="", file=sys.stderr, flush=True)
        else:
            lines.append(line.rstrip())
            del lines[:-40]


def _error(out: str, lines: list[str], home: Path) -> HostError:
    """The error that the child has printed as JSON; without one, the end of its output."""
    with contextlib.suppress(ValueError, KeyError):
        found = json.loads(out)
        return HostError(found["error"], found["hint"] or f"see {home}/logs")
    return HostError("\n".join(lines[-12:]) or "The process ended without an error message.", f"see {home}/logs")


def verify_last(
    home: Path, install: Installation, *, to: Path | None, passphrase_file: Path | None, say: Say
) -> dict[str, Any]:
    """Verify the newest set, and that the passphrase opens its keys; returns {path, bytes, created_at}. HostError."""
    target = home / backup_record.FOLDER if to is None else to
    try:
        it = manifest.chosen(target)
        manifest.verify(it, say)
        stored = home / "keys" / PASSPHRASE
        secret = read_passphrase(passphrase_file or stored)
        sealed.unseal((it.folder / manifest.KEYS).read_bytes(), passphrase=secret, bound_to=manifest.bound(it.data))
    except GreenroomError as error:
        raise HostError(error.message, error.hint) from error
    say("the passphrase opens its keys")
    return {
        "path": str(it.folder),
        "bytes": it.bytes,
        "created_at": it.data["created_at"],
        "apps": len(it.data["apps"]),
    }
