"""Compressed tars of folders that never change: slugs, environments, interpreters. Without Django."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

from greenroom.basics.errors import PlatformError

LEVEL = 1
"""gzip's level: time matters more than a few percent of space."""
KEYS_LIMIT = 32_000_000
"""Bytes of the keys and certificates together."""


def pack(home: Path, paths: Iterable[str], target: Path) -> None:
    """Archive paths of the home, with their relative names. FileNotFoundError if one is missing or disappears."""
    draft = target.with_name(target.name + ".new")
    try:
        with tarfile.open(draft, "w:gz", compresslevel=LEVEL, format=tarfile.PAX_FORMAT) as tar:
            for path in paths:
                tar.add(home / path, arcname=path)
        draft.chmod(0o600)
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)


def unpack(source: Path, home: Path) -> None:
    """Extract such an archive; no entry lands outside of the home. PlatformError for a damaged archive."""
    try:
        with tarfile.open(source, "r:gz") as tar:
            tar.extractall(home, filter="tar")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise PlatformError(f"{source.name} cannot be unpacked: {error}.", hint="use another set") from error


def pack_keys(home: Path, folders: Iterable[str]) -> bytes:
    """The regular files of the folders as a compressed tar in memory. PlatformError if they are too large."""
    out, size = io.BytesIO(), 0
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(path for folder in folders for path in (home / folder).rglob("*")):
            if path.is_symlink() or not path.is_file() or path.name.endswith("~"):
                continue
            data = path.read_bytes()
            size += len(data)
            if size > KEYS_LIMIT:
                raise PlatformError(f"The keys and certificates take more than {KEYS_LIMIT // 10**6} MB.")
            row = tarfile.TarInfo(str(path.relative_to(home)))
            row.size, row.mode = len(data), path.stat().st_mode & 0o777
            tar.addfile(row, io.BytesIO(data))
    return out.getvalue()


def unpack_keys(content: bytes, home: Path, owner: tuple[int, int] | None) -> None:
    """Write the files of ``pack_keys`` with their modes. PlatformError."""
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
            for row in tar:
                tar.extract(row, home, filter="data")
    except (tarfile.TarError, EOFError) as error:
        raise PlatformError(f"The keys cannot be unpacked: {error}.", hint="use another set") from error
    for folder in ("keys", "caddy"):
        for path in [home / folder, *(home / folder).rglob("*")] if owner else ():
            os.chown(path, *(owner or (-1, -1)))
