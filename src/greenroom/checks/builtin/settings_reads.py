"""Finds variables that an app's settings read without a default, and gives each a dummy value for the import.

The files are untrusted: it reads a limited number of them as text and follows no links.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from greenroom.checks.builtin.results import tail

MAX_FILES, MAX_FOLDERS, MAX_BYTES, DEPTH = 60, 2_000, 200_000, 5
SKIPPED = {"node_modules", "site-packages", "tests", "static", "staticfiles", "templates", "locale", "migrations"}
FILE = re.compile(
    r"(?:^|/)(?:settings|config|conf|env)[^/]*\.py\Z|(?:^|/)(?:settings|config|conf)/(?:[^/]+/)*[^/]+\.py\Z"
)
READ = re.compile(
    r"""os\.environ\[\s*["'](?P<item>[A-Z][A-Z0-9_]*)["']\s*\]|"""
    r"""(?:\benv|\bconfig|\benviron\.Env\(\))(?P<cast>\.\w+)?\(\s*["'](?P<call>[A-Z][A-Z0-9_]*)["']\s*(?P<rest>[^()]"""
    r"""*(?:\([^()]*\)[^()]*)*)\)"""
)
DEFAULT = re.compile(r"\bdefault\s*=")
CAST = re.compile(r"\bcast\s*=\s*(\w+)|,\s*(bool|int|float|list)\b")
SERVICES = re.compile(r"REDIS|CELERY|BROKER|CACHE")
SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|SALT|PASS\b")


def read(folder: Path) -> dict[str, str]:
    """name -> dummy value for each variable that a settings file below the folder requires."""
    found: dict[str, str] = {}
    for path in _files(folder):
        for match in READ.finditer(tail(path, MAX_BYTES)):
            name, rest = match["item"] or match["call"], match["rest"] or ""
            if match["call"] and (DEFAULT.search(rest) or _second(rest)):
                continue
            cast = CAST.search(rest)
            found.setdefault(
                name,
                stand_in(name, (match["cast"] or "").lstrip(".") or (cast.group(1) or cast.group(2) if cast else "")),
            )
    return found


def _second(rest: str) -> bool:
    """Whether a call has a second positional argument, its default. A type does not count."""
    first = rest.lstrip().removeprefix(",").strip()
    return bool(first) and not re.match(r"(?:cast\s*=|bool\b|int\b|float\b|list\b|str\b|dict\b)", first)


def _files(folder: Path) -> Iterator[Path]:
    left = MAX_FILES
    for seen, (place, folders, names) in enumerate(os.walk(folder)):
        depth = len(Path(place).relative_to(folder).parts)
        folders[:] = (
            sorted(n for n in folders if not n.startswith(".") and n not in SKIPPED)
            if depth < DEPTH and seen < MAX_FOLDERS
            else []
        )
        for name in sorted(names):
            path = Path(place, name)
            if left and FILE.search(str(path.relative_to(folder))):
                left -= 1
                yield path


def stand_in(name: str, kind: str = "") -> str:
    """A dummy value of the expected type, guessed from the name if needed. It grants no access to anything."""
    by_kind = {
        "bool": "False",
        "int": "1",
        "float": "1",
        "list": "",
        "tuple": "",
        "dict": "",
        "json": "{}",
        "email_url": "smtp://127.0.0.1:1",
    }
    if kind in by_kind:
        return by_kind[kind]
    if kind in ("db", "db_url", "database_url"):
        return "postgres://nobody:nothing@127.0.0.1:1/nothing"
    if kind in ("cache", "cache_url") or (SERVICES.search(name) and name.endswith(("URL", "URI"))):
        return "redis://127.0.0.1:1/0"
    if "FERNET" in name or name.endswith("ENCRYPTION_KEY"):
        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    if SECRET.search(name):
        return secrets.token_hex(32)
    if name.endswith("ADMIN_URL"):
        return "admin/"
    if name.endswith(("URL", "URI", "ENDPOINT")):
        return "http://127.0.0.1:1/"
    if re.search(r"PORT\Z|TIMEOUT|_SIZE|SECONDS|MAX_|_AGE", name):
        return "1"
    if re.search(r"DEBUG|ENABLED?\Z|^USE_", name):
        return "False"
    return "nobody@example.com" if "EMAIL" in name else "localhost" if "HOST" in name else "stand-in"
