"""Reads the installation's settings (home, ports, database) from files and the environment."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from greenroom.basics.errors import PlatformError
from greenroom.webhooks.rules.mail_server import SETTING, MailServer, parse

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
    "domain": "localhost",
    "certificates": "own",
    "email": "",
    "acme_ca": "",
    "acme_root": False,
    "trusted_proxies": [],
    "api_bind": "",
}

POOL = {"min_size": 1, "max_size": 20, "timeout": 15, "max_idle": 20}
"""Connection pool of one process. An idle connection costs 5 MB in PostgreSQL, so it closes after 20 unused seconds."""


def required(name: str) -> str:
    """The environment variable. Raises PlatformError if it is not set."""
    value = os.environ.get(name, "")
    if not value:
        raise PlatformError(
            f"{name} is not set, but the control plane requires it",
            hint="start it with `greenroom up`, or set the variable",
        )
    return value


def number(name: str, default: int) -> int:
    """The environment variable as a non-negative integer, or ``default``. Raises PlatformError if it is invalid."""
    text = os.environ.get(name, "").strip()
    if text and not (text.isdecimal() and text.isascii() and len(text) < 10):
        raise PlatformError(
            f"{name} is {text[:20]!r}; it must be an integer, 0 for no limit", hint=f"unset {name} for {default}"
        )
    return int(text) if text else default


def mail_server() -> MailServer | None:
    """The SMTP server of the environment; None for none. Raises PlatformError if its URL is invalid."""
    try:
        return parse(os.environ.get(SETTING, "").strip())
    except ValueError as error:
        raise PlatformError(f"{error}", hint=f"unset {SETTING} for no e-mail") from error


def read_installation(home: Path) -> dict[str, Any]:
    """The defaults, updated from ``installation.json`` in the home directory."""
    path = home / "installation.json"
    stored = json.loads(path.read_text()) if path.exists() else {}
    return {**DEFAULTS, **stored}


def database_from_url(url: str) -> dict[str, Any]:
    """Django's DATABASES entry for ``postgres://user:password@host:port/name?options``."""
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql"):
        raise PlatformError(
            f"DATABASE_URL has the scheme {parts.scheme!r}; Greenroom requires PostgreSQL 15 or newer",
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
        # check a pooled connection before use: the server may have restarted
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {**dict(parse_qsl(parts.query)), "pool": dict(POOL)},
    }
