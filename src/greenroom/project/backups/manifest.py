"""The manifest of a backup set: versions, apps, and size and SHA-256 of each file. Reads and verifies sets.

A set is a folder with ``manifest.json``. It is written under a name that ends with ``.part`` and renamed when it is
complete and verified, so a folder with a manifest and without that ending is whole. Without Django.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from greenroom.basics import atomic
from greenroom.basics.errors import PlatformError, UserError

FORMAT = 1
NAME = "manifest.json"
KEYS = "keys.sealed"
PART = ".part"
SET = re.compile(r"[0-9]{8}T[0-9]{6}Z\Z")
LIMIT = 64_000_000
"""Bytes of a manifest, and of the sealed keys, that are read."""


@dataclass(frozen=True)
class Set:
    """A set on disk. data: the manifest; its ``files`` have ``bytes`` and ``sha256`` by their relative path."""

    folder: Path
    data: dict[str, Any]

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        """The files, without the sealed keys."""
        found: dict[str, dict[str, Any]] = self.data["files"]
        return found

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(int(row["bytes"]) for row in self.files.values()) + int(self.data["keys"]["bytes"])


def bound(data: dict[str, Any]) -> bytes:
    """The bytes to which the sealed keys are bound: a digest of the manifest without the entry of the keys."""
    rest = {key: value for key, value in data.items() if key != "keys"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).digest()


def write(folder: Path, data: dict[str, Any]) -> None:
    """Write the manifest, durably."""
    text = json.dumps(data, indent=1, sort_keys=True) + "\n"
    atomic.write(folder / NAME, text, mode=0o600, sync=True)


def read(folder: Path) -> Set:
    """The set in a folder. UserError if there is none, PlatformError for an unreadable or newer one."""
    try:
        with (folder / NAME).open("rb") as file:
            data = json.loads(file.read(LIMIT))
    except FileNotFoundError as error:
        raise UserError(
            f"{folder} is no backup set: it has no {NAME}.", hint="name a folder that greenroom backup has made"
        ) from error
    except (OSError, ValueError) as error:
        raise PlatformError(f"{folder / NAME} is damaged: {error}.", hint="use another set") from error
    if not isinstance(data, dict) or not isinstance(data.get("format"), int):
        raise PlatformError(f"{folder / NAME} is damaged: it is no manifest.", hint="use another set")
    if data["format"] > FORMAT:
        raise UserError(
            f"The set {folder} was made by Greenroom {data.get('greenroom')}, which is newer than this one.",
            hint="restore it with that version or a newer one",
        )
    for path in data["files"]:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise PlatformError(
                f"{folder / NAME} is damaged: it names the file {path[:200]!r}.", hint="use another set"
            )
    return Set(folder, data)


def sets(folder: Path) -> list[Path]:
    """The complete sets in a folder, oldest first."""
    try:
        names = sorted(path.name for path in folder.iterdir() if SET.match(path.name))
    except FileNotFoundError:
        return []
    return [folder / name for name in names if (folder / name / NAME).is_file()]


def chosen(folder: Path) -> Set:
    """The set in that folder, or the newest of the sets in it, or in its only installation's folder. UserError."""
    if (folder / NAME).is_file():
        return read(folder)
    found = sets(folder) or [path for child in sorted(folder.glob("greenroom-*")) for path in sets(child)]
    if not found:
        raise UserError(f"There is no backup set in {folder}.", hint="name a folder that greenroom backup has made")
    return read(max(found, key=lambda path: path.name))


def facts(path: Path) -> dict[str, Any]:
    """``bytes`` and ``sha256`` of a file, as read from the disk."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": os.fstat(file.fileno()).st_size, "sha256": digest}


def verify(it: Set, say: Callable[[str], None] = lambda text: None) -> None:
    """Compare each file with the manifest. PlatformError that names the first file that is missing or damaged."""
    rows = {**it.files, KEYS: it.data["keys"]}
    for path, wanted in rows.items():
        try:
            found = facts(it.folder / path)
        except OSError as error:
            raise damaged(it.folder / path, f"it cannot be read ({error.strerror})") from error
        if found != {"bytes": wanted["bytes"], "sha256": wanted["sha256"]}:
            raise damaged(it.folder / path, f"it has {found['bytes']} bytes and another SHA-256")
    say(f"{len(rows)} files verified, {it.bytes / 1e6:.1f} MB")


def damaged(path: Path, why: str) -> PlatformError:
    """The error of a file that does not match its manifest."""
    return PlatformError(f"The backup is damaged at {path}: {why}.", hint="use another set")


def failure(error: Exception) -> str:
    """An error as JSON, for the command that has started this process: ``{"error", "hint"}``."""
    return json.dumps({"error": str(getattr(error, "message", error)), "hint": getattr(error, "hint", "")})
