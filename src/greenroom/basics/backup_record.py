"""The outcome of the last backups of an installation, as a file that ``status``, ``doctor`` and loops read.

``backups/record.json`` in the home: ``{"last": OUTCOME, "succeeded": OUTCOME or null}``. A backup that was killed
leaves an outcome ``running`` whose process has ended; ``read`` reports it as ``interrupted``.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from greenroom.basics import atomic
from greenroom.basics.processes import Identity, identity, is_alive

FOLDER = "backups"
FILE = f"{FOLDER}/record.json"
LIMIT = 100_000
STALE = 2 * 86400.0
"""Seconds after which ``doctor`` warns about the age of the last good backup."""


@dataclass(frozen=True)
class Outcome:
    """state: running, succeeded, failed or interrupted. started, ended: seconds since the epoch; ended 0: not yet.

    path: of the set; bytes: of its files. error: why it failed. origin: of the passphrase, ``given`` by the operator in
    a file, or ``generated``. pid, pid_start: of the process, while it is running.
    """

    state: str
    started: float
    ended: float = 0.0
    path: str = ""
    bytes: int = 0
    error: str = ""
    origin: str = "given"
    pid: int = 0
    pid_start: int = 0


@dataclass(frozen=True)
class Record:
    """The last backup, and the last one that succeeded; None if there was none."""

    last: Outcome | None = None
    succeeded: Outcome | None = None


def begin(home: Path, *, origin: str, owner: tuple[int, int] | None = None) -> Outcome:
    """Record that this process has started a backup."""
    own = identity(os.getpid()) or Identity(os.getpid(), 0)
    now = time.time()
    found = Outcome("running", now, origin=origin, pid=own.pid, pid_start=own.started)
    _write(home, Record(found, _stored(home).succeeded), owner)
    return found


def end(
    home: Path, begun: Outcome, *, path: str = "", size: int = 0, error: str = "", owner: tuple[int, int] | None = None
) -> Outcome:
    """Record the end of a backup: succeeded, or failed with an error. A later reader needs nothing else."""
    state = "failed" if error else "succeeded"
    found = replace(
        begun, state=state, ended=time.time(), path=path, bytes=size, error=error[:2000], pid=0, pid_start=0
    )
    _write(home, Record(found, _stored(home).succeeded if error else found), owner)
    return found


def read(home: Path) -> Record:
    """The record of the home. An unreadable file counts as none."""
    found = _stored(home)
    last = found.last
    if last and last.state == "running" and not is_alive(Identity(last.pid, last.pid_start)):
        last = replace(last, state="interrupted", error="the backup was stopped before its end")
    return replace(found, last=last)


def _stored(home: Path) -> Record:
    try:
        with (home / FILE).open("rb") as file:
            data = json.loads(file.read(LIMIT))
        return Record(*(_outcome(data.get(name)) for name in ("last", "succeeded")))
    except (OSError, ValueError, TypeError, AttributeError):
        return Record()


def _outcome(row: dict[str, Any] | None) -> Outcome | None:
    """Of a stored row; keys of other versions are ignored."""
    return Outcome(**{key: row[key] for key in Outcome.__dataclass_fields__ if key in row}) if row else None


def _write(home: Path, record: Record, owner: tuple[int, int] | None) -> None:
    rows = {name: asdict(value) if value else None for name, value in vars(record).items()}
    atomic.write(home / FILE, json.dumps(rows, indent=2) + "\n", mode=0o600, sync=True)
    if owner:
        with contextlib.suppress(PermissionError):
            os.chown(home / FILE, *owner)
