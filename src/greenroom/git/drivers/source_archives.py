"""Uploaded source archives (Heroku's *sources*): files with random names, removed after a day.

No table: one signed URL permits to write a file, another one to read it.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from greenroom.basics import signing
from greenroom.basics.errors import UserError
from greenroom.git.rules import MAX_INPUT

FOLDER = "run/uploads"
NAME = re.compile(r"[0-9a-f]{32}\Z")
PUT, GET = "source-put", "source-get"
PUT_SECONDS, GET_SECONDS, KEEP_SECONDS = 3600, 24 * 3600, 25 * 3600
MAX_BYTES = MAX_INPUT
PATH = "/streams/sources/"
Sign = Callable[[dict[str, Any], str, int], str]


def offer(sign: Sign, *, base: str) -> dict[str, str]:
    """Two signed URLs below ``base`` (``http://localhost:5000``): ``put_url`` to upload a file within an hour,
    ``get_url`` to download it for a day.

    sign: (payload, purpose, seconds) -> a signed text that is bound to the caller.
    """
    name = secrets.token_hex(16)
    put, get = sign({"source": name}, PUT, PUT_SECONDS), sign({"source": name}, GET, GET_SECONDS)
    return {"put_url": f"{base}{PATH}{put}", "get_url": f"{base}{PATH}{get}"}


def place(home: Path, name: str) -> Path:
    """The path of an uploaded file. UserError for an invalid name."""
    if not NAME.match(name):
        raise UserError("That is not an uploaded source.")
    return home / FOLDER / name


def file_of(url: str, *, home: Path, key: str) -> Path | None:
    """The uploaded file of a ``get_url``, regardless of its host; None for any other URL.

    UserError when the URL has expired, or nothing was uploaded.
    """
    path = urlsplit(url).path
    if not path.startswith(PATH):
        return None
    try:
        payload = signing.unsign(path.removeprefix(PATH), key=key, purpose=GET)
    except UserError as error:
        raise UserError(
            "The source URL is invalid or has expired.", hint="create a new source: POST /sources"
        ) from error
    found = place(home, str(payload.get("source")))
    if not found.is_file():
        raise UserError("Nothing was uploaded to this source.", hint="PUT the archive to its put_url first")
    return found


def sweep(home: Path, *, now: float | None = None) -> list[str]:
    """Remove files older than a day, including incomplete ones; returns their names."""
    limit = (time.time() if now is None else now) - KEEP_SECONDS
    folder = home / FOLDER
    names = (
        [entry.name for entry in os.scandir(folder) if entry.stat(follow_symlinks=False).st_mtime < limit]
        if folder.is_dir()
        else []
    )
    for name in names:
        (folder / name).unlink(missing_ok=True)
    return names
