"""Rules of volumes: the service, names, paths, sizes, and the levels of their use. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from greenroom.addons.rules.services import Plan, Service
from greenroom.basics.errors import ConflictError, UserError

PREFIX = "VOLUME"
NAME = re.compile(r"[a-z][a-z0-9-]{0,29}\Z")
DEFAULT = {"path": "/app/media", "size": 1_000_000_000}
"""For ``heroku addons:create volume`` without options."""
MOST = 5
"""Volumes of one app."""
SMALLEST = 1_000_000
UNITS = {"": 1, "B": 1, "K": 10**3, "KB": 10**3, "M": 10**6, "MB": 10**6, "G": 10**9, "GB": 10**9}
UNITS |= {"T": 10**12, "TB": 10**12}
SIZE = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,3}))?\s*([KMGT]?B?)\Z", re.IGNORECASE)
PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
TOPS = ("/app", "/data", "/media", "/srv", "/mnt", "/storage")
"""Folders below which a volume may lie. Those other than /app may be volumes themselves."""
NEAR, FULL = "near", "full"
NEAR_SHARE, NEAR_AGAIN = 0.8, 0.75
FULL_AGAIN = 0.95
"""Shares of the size: a volume is near its limit from 80 % to 75 %, and full from 100 % to 95 %."""

SERVICE = Service(
    kind="volume",
    id="00000000-0000-4000-8000-000000000060",
    name="volume",
    human_name="Volume",
    noun="volume",
    words=("volume", "disk", "storage", "bucket", "cloudcube"),
    plans=(
        Plan(
            id="00000000-0000-4000-8000-000000000061",
            name="standard",
            human_name="Standard",
            description="A folder whose files outlive dynos",
        ),
    ),
    attachment=PREFIX,
    further=PREFIX,
    variables=("_PATH",),
    size_command="greenroom volumes",
    shared=False,
    options=("at", "size"),
)


def options(given: Mapping[str, object], others: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The data of a new volume: ``{at, size}``, each with a default. others: data of the app's other volumes.

    UserError and ConflictError say what is allowed.
    """
    unknown = sorted(set(given) - set(SERVICE.options))
    if unknown:
        raise UserError(f"{str(unknown[0])[:40]!r} is not an option of a volume.", hint="options: at, size")
    path = checked_path(given.get("at", DEFAULT["path"]))
    size = bytes_of(given["size"]) if "size" in given else DEFAULT["size"]
    refuse_meeting(path, others)
    return {"path": path, "size": size, "generation": 1, "level": "", "bytes": 0, "files": 0}


def refuse_meeting(path: str, others: Iterable[Mapping[str, Any]]) -> None:
    """ConflictError if the path meets that of another volume, or if the app has MOST volumes."""
    taken = [str(one["path"]) for one in others]
    if len(taken) >= MOST:
        raise ConflictError(f"An app can have {MOST} volumes.", hint="greenroom volumes:destroy NAME -a APP")
    for one in taken:
        if f"{path}/".startswith(f"{one}/") or f"{one}/".startswith(f"{path}/"):
            where = "at" if one == path else "which meets that at"
            text = f"{path} is not free: the app has a volume {where} {one}."
            raise ConflictError(text, hint="volumes lie beside each other: choose another path with --at")


def checked_path(value: object) -> str:
    """A path inside dynos where a volume may be. UserError that says what is allowed."""
    hint = f"use an absolute path like /app/media; allowed: below {', '.join(TOPS)}"
    if not isinstance(value, str) or not value.startswith("/") or len(value) > 200:
        raise UserError(f"{str(value)[:60]!r} is not an absolute path.", hint=hint)
    parts = value.removeprefix("/").rstrip("/").split("/")
    if not all(PART.match(part) for part in parts):
        text = f"{value[:60]!r} is not a path for a volume: its parts are letters, digits, dots, dashes and underscores"
        raise UserError(f"{text}, and begin with a letter or digit.", hint=hint)
    path = "/" + "/".join(parts)
    if f"/{parts[0]}" not in TOPS or path == "/app":
        raise UserError(f"A volume cannot be at {path}.", hint=hint)
    return path


def bytes_of(value: object) -> int:
    """The bytes of ``5G``, ``500 MB`` or a number of bytes. UserError."""
    found = SIZE.match(str(value).strip()) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if found is None:
        raise UserError(f"{str(value)[:40]!r} is not a size.", hint="use a size like 500M or 5G")
    whole, rest, unit = found.groups()
    size = round(float(f"{whole}.{rest or 0}") * UNITS[unit.upper()])
    if size < SMALLEST:
        raise UserError(f"{value} is too small for a volume.", hint="the smallest size is 1M")
    return size


def attachment_of(name: str) -> str:
    """The attachment of the volume ``media``, ``VOLUME_MEDIA``. UserError for an invalid name."""
    if not NAME.match(name):
        raise UserError(
            f"{name[:40]!r} is not a valid name of a volume.",
            hint="use a lower-case letter, then at most 29 letters, digits and dashes, like media",
        )
    return f"{PREFIX}_{name.upper().replace('-', '_')}"


def name_of(attachment: str) -> str:
    """The volume's name for users: ``media`` for VOLUME_MEDIA."""
    return attachment.removeprefix(f"{PREFIX}_").lower().replace("_", "-")


def too_large(size: int, *, most: int, free: int) -> tuple[str, str] | None:
    """(text, hint) of the refusal of a size; None if it is possible. most: bytes of one volume, 0: any; free: bytes of
    the disk that no volume has been promised and the reserve does not need.
    """
    if most and size > most:
        return (
            f"A volume can have {shown(most)} at most, and {shown(size)} were asked for.",
            f"use --size {shown(most).replace(' ', '')}; the operator can raise GREENROOM_VOLUME_MB",
        )
    if size > free:
        return (
            f"Greenroom's disk has {shown(max(0, free))} left for volumes, and {shown(size)} were asked for.",
            "use a smaller --size; the operator sees the use of the disk with: greenroom doctor",
        )
    return None


def level(used: int, size: int, before: str, *, complete: bool = True) -> str:
    """'', near or full, with a distance between the limits of both directions. Without a complete count: full."""
    if not complete or used >= size * (FULL_AGAIN if before == FULL else 1):
        return FULL
    return NEAR if used >= size * (NEAR_AGAIN if before in (NEAR, FULL) else NEAR_SHARE) else ""


def shown(size: int) -> str:
    """``1.5 GB``, without a fraction that is zero."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f}".removesuffix(".0") + f" {unit}"
    return f"{size} bytes"


def told(name: str, *, used: int, size: int, now: str, before: str, app: str, complete: bool) -> str:
    """The log line for a change of the level."""
    facts = f"The volume {name} has {shown(used)} of {shown(size)}"
    more = f"greenroom volumes:resize {name} --size NEW -a {app}"
    if now == FULL:
        why = "" if complete else " (more files, or deeper folders, than are counted)"
        return (
            f"{facts}{why}: it is read-only for web and worker dynos, which restart now. Delete files in a one-off dyno"
            f" (greenroom run bash -a {app}), or: {more}"
        )
    if now == NEAR:
        again = ": the app can write again. It is near its limit" if before == FULL else ": it is near its limit"
        return f"{facts}{again}. For more: {more}"
    return f"{facts}{': the app can write again' if before == FULL else ''}."
