"""Writes the tar of a commit with its submodules and its files in Git LFS.

It appends to the archive of git: a later entry replaces an earlier one with the same name, in every program that reads
it. No file of an app is written to the disk by its name.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from greenroom.git.drivers import lfs_store, runner
from greenroom.git.drivers.modules import Placed
from greenroom.git.rules.lfs import Pointer

SECONDS = 300.0
CONFIG = (("tar.umask", "0022"),)
END = bytes(2 * tarfile.BLOCKSIZE)


def write_archive(repo: Path, sha: str, target: int, prefix: str = "") -> None:
    """Write git's tar of a commit to an open file, reproducibly. prefix: a folder that ends with a slash.
    PlatformError.
    """
    words = ["archive", "--format=tar", *([f"--prefix={prefix}"] if prefix else [])]
    env = runner.environment(repo, config=CONFIG)
    runner.write_output(repo, words, args=[sha], target=target, env=env, timeout=SECONDS)


def write(
    repo: Path, sha: str, target: Path, *, pointers: Sequence[Pointer] = (), placed: Sequence[Placed] = ()
) -> None:
    """Write the whole tree to ``target`` (mode 0644), atomically. A pointer without its object stays a pointer file.
    PlatformError, OSError.
    """
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}~")
    try:
        with draft.open("xb+") as file:
            end, at = _append_archive(file, 0, repo, sha, "")
            for module in placed:
                end, _ = _append_archive(file, end, module.repo, module.sha, f"{module.path}/")
            file.seek(end)
            for pointer in pointers:
                _append_object(file, repo, pointer, at)
            file.write(END)
            file.truncate()
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        os.rename(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def _append_archive(file: BinaryIO, place: int, repo: Path, sha: str, prefix: str) -> tuple[int, int]:
    """(offset after the last entry, time of the commit)."""
    file.seek(place)
    file.truncate()
    write_archive(repo, sha, file.fileno(), prefix)
    file.seek(place)
    at = 0
    with tarfile.open(fileobj=file, mode="r:") as archive:
        while (member := archive.next()) is not None:
            at = int(member.mtime)
            archive.members.clear()  # type: ignore[attr-defined]
        return archive.offset, at


def _append_object(file: BinaryIO, repo: Path, pointer: Pointer, at: int) -> None:
    if lfs_store.size_of(repo, pointer.oid) != pointer.size:
        return
    entry = tarfile.TarInfo(pointer.path.decode("utf-8", "surrogateescape"))
    entry.size, entry.mtime, entry.mode = pointer.size, at, 0o755 if pointer.executable else 0o644
    entry.uname = entry.gname = "root"
    file.write(entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
    with lfs_store.place(repo, pointer.oid).open("rb") as source:
        shutil.copyfileobj(source, file, 1 << 20)
    file.write(bytes(-pointer.size % tarfile.BLOCKSIZE))
