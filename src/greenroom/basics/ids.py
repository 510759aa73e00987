"""Creates and validates identifiers, names and random secrets."""

from __future__ import annotations

import re
import secrets
import uuid
import zlib

APP_NAME = re.compile(r"[a-z][a-z0-9-]{1,28}[a-z0-9]\Z")
CONFIG_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
PROCESS_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}\Z")
RESERVED_APP_NAMES = frozenset(
    [
        "api",
        "admin",
        "www",
        "git",
        "static",
        "login",
        "logout",
        "account",
        "accounts",
        "apps",
        "schema",
        "health",
        "healthz",
        "readyz",
        "streams",
        "localhost",
        "greenroom",
        "dashboard",
        "router",
        "web",
        "root",
    ]
)


def new_uuid() -> uuid.UUID:
    """A random UUID (version 4)."""
    return uuid.uuid4()


def new_secret(size: int = 32) -> str:
    """``size`` random bytes as lower-case hex."""
    return secrets.token_hex(size)


def new_token() -> str:
    """An API token: ``grm_`` + 43 characters of 256 random bits + 6 hex digits of CRC32 (finds typing errors)."""
    body = "grm_" + secrets.token_urlsafe(32)
    return f"{body}{zlib.crc32(body.encode()) & 0xFFFFFF:06x}"


def is_app_name(name: str) -> bool:
    """Whether ``name`` is valid and not reserved."""
    return bool(APP_NAME.match(name)) and name not in RESERVED_APP_NAMES


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID in the API's format: 36 characters, with dashes."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
