"""A shim's files about its dyno: ``state.json``, replaced atomically at each change, and the counter ``active``.

The authoritative state, which survives every process; it contains no secrets. The client reads it.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from _json import encode_basestring_ascii  # the package ``json`` costs a shim a megabyte

FILE, COUNTER = "state.json", "active"
MODE = 0o640
COUNTER_FORMAT = "<I"


def write(folder: str, values: dict[str, object], *, sync: bool = False) -> None:
    """Replace the state in ``folder``. Raises OSError; then the old one is unchanged."""
    draft = os.path.join(folder, FILE + "~")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)
    try:
        data = encode(values)
        if os.write(fd, data) != len(data):
            raise OSError(28, "the disk is full", draft)
        os.fchmod(fd, MODE)
        os.rename(draft, os.path.join(folder, FILE))
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def encode(values: dict[str, object]) -> bytes:
    """Encode a flat JSON object of strings, numbers, booleans and None."""
    words = {True: "true", False: "false", None: "null"}
    parts = []
    for key, value in values.items():
        if isinstance(value, str):
            text = encode_basestring_ascii(value)
        elif value is None or isinstance(value, bool):
            text = words[value]
        else:
            text = repr(value)
        parts.append(f"{encode_basestring_ascii(key)}: {text}")
    return ("{" + ", ".join(parts) + "}\n").encode()


def own_start() -> int:
    """The calling process's start in clock ticks since boot: unique together with its pid."""
    with open("/proc/self/stat", "rb", buffering=0) as file:
        return int(file.read(4096).rpartition(b")")[2].split()[19])


def boot_id() -> str:
    """The id of the machine's current boot: after a reboot, none of our processes is alive."""
    with open("/proc/sys/kernel/random/boot_id", buffering=64) as file:
        return file.read().strip()


class State:
    """The dyno's state in the shim; ``change`` saves it."""

    def __init__(self, folder: str, values: dict[str, object]) -> None:
        self.folder = folder
        self.values = values
        self.values.update(pid=os.getpid(), pid_started=own_start(), boot=boot_id())
        self.saved = True

    def change(self, *, sync: bool = False, **values: object) -> None:
        """Set and save. If the disk is full, ``saved`` is False and the caller retries with ``save``."""
        self.values.update(values)
        self.save(sync=sync)

    def save(self, *, sync: bool = False) -> None:
        """Write unsaved changes."""
        try:
            write(self.folder, self.values, sync=sync)
            self.saved = True
        except OSError:
            self.saved = False

    def end(self, *, code: int, reason: str, detail: str, last_words: str = "") -> None:
        """Save the final state."""
        values = {
            "exit_code": code,
            "reason": reason,
            "detail": detail,
            "exited_at": time.time(),
            "last_words": last_words,
        }
        self.change(phase="exited", listening=False, host_pid=0, sync=True, **values)


class Counter:
    """A number in a file that other processes read without a request; setting it needs no system call."""

    def __init__(self, folder: str) -> None:
        fd = os.open(os.path.join(folder, COUNTER), os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, MODE)
        try:
            os.write(fd, bytes(4))
            self._map = mmap.mmap(fd, 4)
        finally:
            os.close(fd)

    def set(self, value: int) -> None:
        struct.pack_into(COUNTER_FORMAT, self._map, 0, value)
