"""Envelope encryption: a master key wraps one data key per app. AES-256-GCM, with the location of the value (its table
and id) as associated data.
"""

from __future__ import annotations

import base64
import os
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from greenroom.basics.errors import PlatformError

NONCE = 12


@lru_cache(maxsize=4)
def master_key(home: Path) -> bytes:
    """The 32 bytes of GREENROOM_MASTER_KEY (base64), else of ``keys/master.key``. PlatformError."""
    text = os.environ.get("GREENROOM_MASTER_KEY") or _read(home / "keys" / "master.key")
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise PlatformError(
            "The master key is not 32 bytes in base64.", hint=f"restore {home}/keys/master.key from your backup"
        )
    return key


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise PlatformError(
            f"Cannot read the master key {path}: {error.strerror}.",
            hint="restore it from your backup; without it config vars are lost",
        ) from error


def seal(key: bytes, plain: bytes, place: str) -> bytes:
    """Encrypt ``plain``; it can be decrypted for the same ``place`` only."""
    nonce = os.urandom(NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plain, place.encode())


def unseal(key: bytes, sealed: bytes, place: str) -> bytes:
    """Decrypt the result of ``seal`` for the same place. PlatformError when it was changed, moved, or encrypted with
    another key.
    """
    try:
        return AESGCM(key).decrypt(bytes(sealed[:NONCE]), bytes(sealed[NONCE:]), place.encode())
    except InvalidTag as error:
        raise PlatformError(f"The encrypted value {place} cannot be decrypted with this installation's key.") from error
