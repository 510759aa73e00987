"""Archives that clients send before they say what to do with them: Heroku's *sources*. A file with a random name, gone
after a day.

Knows no table: a signed link says which file may be written, another one which may be read.
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
    """Two links below ``base`` (``http://localhost:5000``): ``put_url`` takes one file within an hour, ``get_url``
    gives it for a day.

    sign: (payload, purpose, seconds) -> the text of a link that is bound to the caller.
    """
    name = secrets.token_hex(16)
    put, get = sign({"source": name}, PUT, PUT_SECONDS), sign({"source": name}, GET, GET_SECONDS)
    return {"put_url": f"{base}{PATH}{put}", "get_url": f"{base}{PATH}{get}"}


def place(home: Path, name: str) -> Path:
    """Where the file of that name is. UserError when it is no such name."""
    if not NAME.match(name):
        raise UserError("That is no uploaded source.")
    return home / FOLDER / name


def file_of(url: str, *, home: Path, key: str) -> Path | None:
    """The uploaded file behind a ``get_url`` of ours, whatever host it was given with; None for a URL of anybody else.

    UserError when the link has expired or nothing was uploaded.
    """
    path = urlsplit(url).path
    if not path.startswith(PATH):
        return None
    try:
        payload = signing.unsign(path.removeprefix(PATH), key=key, purpose=GET)
    except UserError as error:
        raise UserError(
            "The source's link is not valid or has expired.", hint="POST /sources gives a new one"
        ) from error
    found = place(home, str(payload.get("source")))
    if not found.is_file():
        raise UserError("Nothing was uploaded to this source.", hint="PUT the archive to its put_url first")
    return found


def sweep(home: Path, *, now: float | None = None) -> list[str]:
    """Remove what is older than a day, half-written files too; their names."""
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
