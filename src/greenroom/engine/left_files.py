"""Reads a dyno's files in a folder of this machine. They are untrusted: follows no link.

For engines with their files on this machine, or copied to it.
"""

from __future__ import annotations

import errno
import os
import stat

_TROUBLE = (errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def read_file(top: str | os.PathLike[str], name: str, limit: int) -> bytes | None:
    """A regular file below ``top``. None if it is missing, larger than ``limit`` bytes, or if the name contains a link
    or ``..``. Raises OSError for trouble of this machine, such as a disk error or too many open files.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return None
    try:
        here = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        _check(error)
        return None
    try:
        for index, part in enumerate(parts):
            inner = os.open(part, _FILE if index == len(parts) - 1 else _FOLDER, dir_fd=here)
            os.close(here)
            here = inner
        if not stat.S_ISREG(os.fstat(here).st_mode):
            return None
        data = _read(here, limit + 1)
    except OSError as error:
        _check(error)
        return None
    finally:
        os.close(here)
    return data if len(data) <= limit else None


def _check(error: OSError) -> None:
    """Raise the trouble of this machine; return for a file that its owner did not leave, or not as a plain file."""
    if error.errno in _TROUBLE:
        raise error


def _read(fd: int, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (piece := os.read(fd, size - len(data))):
        data += piece
    return bytes(data)


def read_piece(path: str | os.PathLike[str], offset: int, limit: int) -> tuple[bytes, int]:
    """At most ``limit`` bytes of a growing file from ``offset``, and its size; (b"", 0) if it does not exist."""
    try:
        fd = os.open(path, _FILE)
    except OSError as error:
        _check(error)
        return b"", 0
    try:
        return os.pread(fd, limit, offset), os.fstat(fd).st_size
    finally:
        os.close(fd)
