"""Reads the shims' files: available to every process with access to the run folders, without a supervisor.

A dyno whose shim has vanished without writing an end is ``lost``.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any

from greenroom.basics.processes import Identity, is_alive
from greenroom.engine.contract import DynoState
from greenroom.engine.local import state

DYNOS = "run/dynos"
_FIELDS = tuple(name for name in DynoState.__dataclass_fields__ if name != "active")
_boot: list[str] = []


def folder(home: str, dyno_id: str) -> str:
    """The dyno's run folder."""
    return os.path.join(home, DYNOS, dyno_id)


def raw(home: str, dyno_id: str) -> dict[str, Any] | None:
    """The raw state file, or None. Raises PermissionError."""
    try:
        with open(os.path.join(folder(home, dyno_id), state.FILE), "rb", buffering=0) as file:
            values = json.loads(file.read(1_000_000))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return None
    return values if isinstance(values, dict) else None


def shim(values: dict[str, Any]) -> Identity | None:
    """The dyno's shim, if it is alive."""
    if values.get("boot") != boot_id():
        return None
    who = Identity(int(values.get("pid", 0)), int(values.get("pid_started", 0)))
    return who if is_alive(who) else None


def describe(home: str, dyno_id: str) -> DynoState | None:
    """The dyno's current state, or None if the id is unknown. Raises PermissionError."""
    values = raw(home, dyno_id)
    if values is None:
        return None
    if values["phase"] != "exited" and shim(values) is None:
        values = raw(home, dyno_id) or values  # it may have written its end just before its exit
        if values["phase"] != "exited":
            values |= {"phase": "lost", "listening": False, "host_pid": 0}
            values |= {"reason": "lost", "detail": "its shim was killed; no process of the dyno is running"}
    known = {name: values[name] for name in _FIELDS if name in values}
    return DynoState(**known, active=_active(home, dyno_id) if values.get("listening") else 0)


def all_ids(home: str) -> list[str]:
    """Ids of all dynos that have not been forgotten."""
    try:
        return sorted(os.listdir(os.path.join(home, DYNOS)))
    except FileNotFoundError:
        return []


def _active(home: str, dyno_id: str) -> int:
    try:
        with open(os.path.join(folder(home, dyno_id), state.COUNTER), "rb", buffering=0) as file:
            return int(struct.unpack(state.COUNTER_FORMAT, file.read(4))[0])
    except (OSError, struct.error):
        return 0


def boot_id() -> str:
    """The id of the current boot, read once."""
    if not _boot:
        _boot.append(state.boot_id())
    return _boot[0]
