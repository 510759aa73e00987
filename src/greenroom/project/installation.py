"""What this installation is: its home, its ports and its database, read from files and the environment."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from greenroom.basics.errors import PlatformError

DEFAULTS: dict[str, Any] = {
    "version": 1,
    "mode": "development",
    "api_port": 5000,
    "tls_port": 5001,
    "rendezvous_port": 5002,
    "pg_port": 5003,
    "http_port": 8080,
    "https_port": 8443,
    "bind": "127.0.0.1",
    "postgres": "embedded",
    "proxy_port": 0,
}

POOL = {"min_size": 1, "max_size": 20, "timeout": 15, "max_idle": 20}
"""Connections of one process: kept ones cost 5 MB each in PostgreSQL, so one that was not needed for 20 seconds is
closed, one at a time.
"""


def required(name: str) -> str:
    """The environment variable, or a PlatformError that names it."""
    value = os.environ.get(name, "")
    if not value:
        raise PlatformError(
            f"{name} is not set; Greenroom's control plane does not start without it",
            hint="start it with `greenroom up`, or set the variable",
        )
    return value


def number(name: str, default: int) -> int:
    """The environment variable as a whole number from 0, ``default`` when it is not set, or a PlatformError that names
    it.
    """
    text = os.environ.get(name, "").strip()
    if text and not (text.isdecimal() and text.isascii() and len(text) < 10):
        raise PlatformError(
            f"{name} is {text[:20]!r}; it must be a whole number, 0 for no limit", hint=f"unset {name} gives {default}"
        )
    return int(text) if text else default


def read_installation(home: Path) -> dict[str, Any]:
    """``installation.json`` of the home over the defaults."""
    path = home / "installation.json"
    stored = json.loads(path.read_text()) if path.exists() else {}
    return {**DEFAULTS, **stored}


def database_from_url(url: str) -> dict[str, Any]:
    """Django's DATABASES entry for ``postgres://user:password@host:port/name?options``."""
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql"):
        raise PlatformError(
            f"DATABASE_URL has the scheme {parts.scheme!r}; Greenroom needs PostgreSQL 15 or newer",
            hint="use postgres://user:password@host:port/name",
        )
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 0,
        # a pooled connection may be of a PostgreSQL that died: it is asked before it is used
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {**dict(parse_qsl(parts.query)), "pool": dict(POOL)},
    }
