"""Saves the files of a volume as a compressed tar, and loads them, in dynos of the app with the rights of its user.

The control plane never opens a file of a volume: an app could replace one by a link while it is read.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from greenroom.addons.models import Addon
from greenroom.basics.errors import PlatformError
from greenroom.engine import names
from greenroom.engine.contract import DynoSpec, DynoState, Engine, Limits, Mount
from greenroom.engine.errors import EngineError

SECONDS = 3600.0
FROM, TO, OUT, SOURCE = "/from", "/to", "/out", "/saved/data.tar.gz"
NAME = "data.tar.gz"
GZIP = "--use-compress-program=/bin/gzip -1"
SAVE = (
    "/bin/tar",
    "--create",
    GZIP,
    f"--file={OUT}/{NAME}",
    f"--directory={FROM}",
    "--warning=no-file-changed",
    "--warning=no-file-removed",
    ".",
)
LOAD = ("/bin/tar", "--extract", "--gzip", f"--file={SOURCE}", f"--directory={TO}", "--no-same-owner")
CHANGED = 1
"""tar's exit code if files have changed while it read them: the archive is complete all the same."""


def save(engine: Engine, addon: Addon, artefact: str, target: Path) -> None:
    """Write the files of a volume to ``target``. PlatformError."""
    mounts = (Mount(target=FROM, source=artefact), Mount(target=OUT, source=names.scratch("out"), mode="rw"))
    with _dyno(engine, addon, SAVE, mounts) as state:
        if state.exit_code not in (0, CHANGED):
            raise PlatformError(f"The files of {addon.name} could not be saved: {_why(state)}", hint="greenroom doctor")
        with engine.tree(state.id, "out") as folder:
            if folder is None:
                raise PlatformError(f"The files of {addon.name} could not be saved: the dyno left no file.")
            _copy(folder / NAME, target)


def load(engine: Engine, addon: Addon, artefact: str, source: Path, home: Path) -> None:
    """Fill the volume with saved files. Repeatable. PlatformError."""
    key = addon.pk.hex
    offered = home / "sources" / f"{key}.tar"
    try:
        engine.discard(artefact)
        shutil.copyfile(source, offered)
        offered.chmod(0o644)
        mounts = (Mount(target=SOURCE, source=names.source(key)), Mount(target=TO, source=artefact, mode="rw"))
        with _dyno(engine, addon, LOAD, mounts) as state:
            if state.exit_code:
                raise PlatformError(f"The files of {addon.name} could not be restored: {_why(state)}")
    finally:
        offered.unlink(missing_ok=True)


@contextlib.contextmanager
def _dyno(engine: Engine, addon: Addon, command: tuple[str, ...], mounts: tuple[Mount, ...]) -> Iterator[DynoState]:
    """Run a command to its end; yields the dyno's state. Removes dynos that a killed backup has left."""
    prefix = f"backup-{addon.pk.hex[:20]}-"
    for left in engine.list():
        if left.id.startswith(prefix):
            engine.forget(left.id)
    spec = DynoSpec(
        id=prefix + secrets.token_hex(4),
        kind="janitor",
        owner=addon.app_id.hex,
        uid=addon.app.number,
        process="backup.1",
        command=command,
        cwd="/",
        mounts=mounts,
        egress=False,
        limits=Limits(memory_mb=256, pids=16, timeout=SECONDS),
    )
    try:
        yield _ended(engine, spec)
    except EngineError as error:
        raise PlatformError(f"The files of {addon.name}: {error.message}", hint="greenroom status") from error
    finally:
        with contextlib.suppress(EngineError):
            engine.forget(spec.id)


def _ended(engine: Engine, spec: DynoSpec) -> DynoState:
    state, pause = engine.start(spec), 0.05
    while not state.ended:
        time.sleep(pause)
        pause = min(pause * 1.5, 1.0)
        state = engine.describe(spec.id) or state
    return state


def _copy(source: Path, target: Path) -> None:
    """Copy the dyno's file. It is untrusted: no link is followed."""
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise PlatformError(f"The dyno left no file: {error.strerror}.") from error
    with open(descriptor, "rb") as file, target.open("xb") as out:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise PlatformError("The dyno left no regular file.")
        shutil.copyfileobj(file, out, 1 << 20)
    target.chmod(0o600)


def _why(state: DynoState) -> str:
    words = state.last_words.strip().splitlines()[-1:] or [state.detail or f"tar ended with {state.exit_code}"]
    return words[0][:300]
