"""Git LFS: pointer files, requests of the batch API, limits and messages. Pure.

The formats are those of git-lfs: docs/spec.md and docs/api/batch.md of its repository.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from greenroom.basics.errors import UserError
from greenroom.basics.text import printable

MAX_OBJECT = 500_000_000
"""Limit of one object, in bytes."""
MAX_BATCH = 1_000
"""Objects of one request of the batch API; git-lfs sends 100."""
MAX_BODY = 1_000_000
MAX_POINTERS = 10_000
"""Files in Git LFS of one commit."""
SMALLEST, LARGEST = 100, 1024
"""Sizes of pointer files, in bytes."""
SHOWN = 5

_OID = re.compile(r"[0-9a-f]{64}\Z")
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize (0|[1-9][0-9]{0,14})\n\Z"
)


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """A file in Git LFS: its path, whether it is executable, SHA-256 (hex) and bytes of its content."""

    path: bytes
    oid: str
    size: int
    executable: bool = False


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A request of the batch API. operation: upload or download. objects: (SHA-256, bytes)."""

    operation: str
    objects: tuple[tuple[str, int], ...]


def is_oid(text: str) -> bool:
    """Whether it is a SHA-256 in hex."""
    return bool(_OID.match(text))


def pointed(content: bytes) -> tuple[str, int] | None:
    """(SHA-256, bytes) of a pointer file; None for any other content, and for pointers with extensions."""
    match = _POINTER.match(content)
    return (match[1].decode(), int(match[2])) if match else None


def read_batch(body: bytes) -> Batch:
    """The request in a body. UserError says what is wrong with it."""
    asked = _object(body)
    operation, algorithm = asked.get("operation"), asked.get("hash_algo", "sha256")
    if operation not in ("upload", "download"):
        raise UserError("The operation must be upload or download.")
    if algorithm != "sha256":
        raise UserError("The hash algorithm must be sha256.")
    transfers = asked.get("transfers") or ["basic"]
    if not isinstance(transfers, list) or "basic" not in transfers:
        raise UserError("Only the basic transfer is supported.", hint="git config lfs.basictransfersonly true")
    rows = asked.get("objects")
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_BATCH:
        raise UserError(f"A request must name 1 to {MAX_BATCH} objects.")
    return Batch(operation=operation, objects=tuple(dict.fromkeys(_row(row) for row in rows)))


def read_object(body: bytes) -> tuple[str, int]:
    """(SHA-256, bytes) of a request to verify an object. UserError."""
    return _row(_object(body))


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UserError("The request body must be a JSON object.")
    return found


def _row(row: Any) -> tuple[str, int]:
    oid, size = (row.get("oid"), row.get("size")) if isinstance(row, dict) else (None, None)
    if not isinstance(oid, str) or not is_oid(oid) or type(size) is not int or size < 0:
        raise UserError("An object needs an oid, which is a SHA-256 of 64 hex digits, and a size in bytes.")
    return oid, size


def too_big(size: int) -> str:
    """Why an object of this size cannot be stored; '' when it can."""
    most = f"{MAX_OBJECT / 1e6:,.0f} MB"
    return f"The file has {size / 1e6:,.0f} MB; the limit of a file in Git LFS is {most}." if size > MAX_OBJECT else ""


def over_quota(app: str, used: int, more: int, most: int) -> str:
    """Why an app cannot store ``more`` bytes beside ``used``; '' when it can. most: 0 for no limit."""
    if not most or used + more <= most:
        return ""
    return (
        f"{app} has {used / 1e6:,.0f} MB in Git LFS, and this push adds {more / 1e6:,.0f} MB; the limit is"
        f" {most / 1e6:,.0f} MB."
    )


QUOTA_HINT = "the operator can raise GREENROOM_LFS_MB"
LACKING_HINT = (
    "git lfs push --all greenroom, then push again; in a clone without these files, first: git lfs fetch --all origin"
)
BUILT_HINT = "git lfs push --all greenroom uploads them; the build of the next commit gets them"


def listed(pointers: Sequence[Pointer]) -> str:
    """The paths of some files, for messages."""
    names = ", ".join(printable(repr(pointer.path.decode("utf-8", "replace")), 120) for pointer in pointers[:SHOWN])
    return f"{names} and {len(pointers) - SHOWN} more" if len(pointers) > SHOWN else names


def counted(number: int, word: str) -> str:
    """``1 file``, ``3 files``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def lacking(where: str, pointers: Sequence[Pointer]) -> str:
    """The message about files whose content was not uploaded. where: a branch, or the build."""
    verb = "is" if len(pointers) == 1 else "are"
    return (
        f"{where}: the content of {counted(len(pointers), 'file')} in Git LFS {verb} missing in this app:"
        f" {listed(pointers)}."
    )
