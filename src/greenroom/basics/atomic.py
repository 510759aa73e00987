"""Writes files and folders atomically: under a temporary name in the same folder, then renamed.

Not for ``engine/local``, which writes as root into folders of tenants and follows no links, nor for the programs in
``inside/``, which cannot import modules of Greenroom. ``unixsock.place`` does the same for a socket.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO


def write(path: Path, data: str | bytes, *, mode: int = 0o644, sync: bool = False) -> None:
    """Replace the content of a file; readers see either the old or the new content. OSError leaves the old file.

    mode: the exact mode, independent of the umask. sync: content and name survive a power failure; for data that cannot
    be recreated.
    """
    with writing(path, mode=mode, sync=sync) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextlib.contextmanager
def writing(path: Path, *, mode: int = 0o644, sync: bool = False) -> Iterator[BinaryIO]:
    """Like ``write``, for content in several parts. An error in the block leaves the old file."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}~")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode & 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), mode)
            if sync:
                os.fsync(file.fileno())
        os.rename(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    if sync:
        sync_path(path.parent)


def folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Create the folder (mode 0755) unless it exists. On a race, the second writer discards its copy."""
    if path.is_dir():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}~")
    draft.mkdir(0o755)
    try:
        draft.chmod(0o755)
        fill(draft)
        draft.rename(path)
    except BaseException as error:
        shutil.rmtree(draft, ignore_errors=True)
        if not (isinstance(error, OSError) and path.is_dir()):
            raise


def sync_path(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk. OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
