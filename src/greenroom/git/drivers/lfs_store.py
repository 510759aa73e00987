"""The Git LFS objects of an app, beside the git objects in its repository's folder: ``lfs/objects/ab/cd/SHA-256``.

An object is written to ``lfs/incoming``, and gets its name only after its hash was verified and its bytes are on disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from greenroom.basics import atomic
from greenroom.basics.errors import UserError
from greenroom.basics.folders import bytes_of
from greenroom.git.rules import lfs

STALE_SECONDS = 24 * 3600.0
"""Age of an incomplete upload that counts as the leftover of a killed process."""


class Upload:
    """An object that is being written. ``write`` raises UserError above the limit, ``keep`` for a wrong hash."""

    def __init__(self, repo: Path, oid: str, file: BinaryIO, draft: Path) -> None:
        self.repo, self.oid, self.file, self.draft = repo, oid, file, draft
        self.hash, self.size = hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        """Append a piece."""
        self.size += len(data)
        if text := lfs.too_big(self.size):
            raise UserError(text, hint="keep large data outside the repository")
        self.hash.update(data)
        self.file.write(data)

    def keep(self) -> None:
        """Verify the hash, then give the object its name."""
        if self.hash.hexdigest() != self.oid:
            raise UserError(
                f"The SHA-256 of the uploaded content is not that of the object {self.oid[:12]}. It was not kept.",
                hint="git lfs fsck, then push again",
            )
        self.file.flush()
        os.fsync(self.file.fileno())
        goal = place(self.repo, self.oid)
        goal.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        os.rename(self.draft, goal)
        atomic.sync_path(goal.parent)


def place(repo: Path, oid: str) -> Path:
    """The path of an object. oid: 64 hex digits."""
    assert lfs.is_oid(oid)
    return repo / "lfs" / "objects" / oid[:2] / oid[2:4] / oid


def size_of(repo: Path, oid: str) -> int | None:
    """The bytes of an object; None if it is not stored."""
    try:
        return place(repo, oid).stat().st_size
    except FileNotFoundError:
        return None


def sizes(repo: Path, oids: Collection[str]) -> dict[str, int]:
    """oid -> bytes of the objects that are stored."""
    return {oid: size for oid in oids if (size := size_of(repo, oid)) is not None}


def used(repo: Path) -> int:
    """The bytes of all objects, incomplete ones included."""
    return bytes_of(repo / "lfs")


@contextlib.contextmanager
def upload(repo: Path, oid: str) -> Iterator[Upload]:
    """Context manager: a new object, discarded at the end of the block unless it was kept. OSError."""
    folder = repo / "lfs" / "incoming"
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    draft = folder / secrets.token_hex(16)
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        with os.fdopen(handle, "wb") as file:
            yield Upload(repo, oid, file, draft)
    finally:
        draft.unlink(missing_ok=True)


def sweep(repo: Path, *, now: float | None = None) -> list[str]:
    """Remove incomplete uploads of killed processes; returns their names."""
    limit = (time.time() if now is None else now) - STALE_SECONDS
    folder, removed = repo / "lfs" / "incoming", []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        with contextlib.suppress(FileNotFoundError):
            if path.lstat().st_mtime < limit:
                path.unlink()
                removed.append(path.name)
    return removed


def lend(source: Path, target: Path, oids: Collection[str]) -> None:
    """Give the objects of one repository to another one, by hard links. Repeatable; skips objects that are missing."""
    for oid in oids:
        goal = place(target, oid)
        if size_of(source, oid) is None or goal.exists():
            continue
        goal.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            try:
                os.link(place(source, oid), goal)
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links
                with place(source, oid).open("rb") as file, atomic.writing(goal, mode=0o640, sync=True) as copy:
                    shutil.copyfileobj(file, copy, 1 << 20)
