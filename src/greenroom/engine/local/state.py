"""What a shim leaves on disk about its dyno: ``state.json``, replaced whole at each change, and the counter ``active``.

It is the truth that survives every process; it holds no secrets. Reading it is the client's business.
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
    """Replace ``folder``'s state. Raises OSError; then the old one is still there."""
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
    """A flat JSON object of texts, numbers, truths and None."""
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
    """The calling process's start in clock ticks since the boot: with its number, its name for ever."""
    with open("/proc/self/stat", "rb", buffering=0) as file:
        return int(file.read(4096).rpartition(b")")[2].split()[19])


def boot_id() -> str:
    """The number of this boot of the machine: after another, no process of ours can live."""
    with open("/proc/sys/kernel/random/boot_id", buffering=64) as file:
        return file.read().strip()


class State:
    """The dyno's state as the shim knows it; ``change`` writes it down."""

    def __init__(self, folder: str, values: dict[str, object]) -> None:
        self.folder = folder
        self.values = values
        self.values.update(pid=os.getpid(), pid_started=own_start(), boot=boot_id())
        self.saved = True

    def change(self, *, sync: bool = False, **values: object) -> None:
        """Set and save. When the disk is full ``saved`` stays False, and the caller tries again by ``save``."""
        self.values.update(values)
        self.save(sync=sync)

    def save(self, *, sync: bool = False) -> None:
        """Write what has not been written yet."""
        try:
            write(self.folder, self.values, sync=sync)
            self.saved = True
        except OSError:
            self.saved = False

    def end(self, *, code: int, reason: str, detail: str, last_words: str = "") -> None:
        """The last change."""
        values = {
            "exit_code": code,
            "reason": reason,
            "detail": detail,
            "exited_at": time.time(),
            "last_words": last_words,
        }
        self.change(phase="exited", listening=False, host_pid=0, sync=True, **values)


class Counter:
    """A number that other processes read from the file without asking; setting it costs no system call."""

    def __init__(self, folder: str) -> None:
        fd = os.open(os.path.join(folder, COUNTER), os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, MODE)
        try:
            os.write(fd, bytes(4))
            self._map = mmap.mmap(fd, 4)
        finally:
            os.close(fd)

    def set(self, value: int) -> None:
        struct.pack_into(COUNTER_FORMAT, self._map, 0, value)
