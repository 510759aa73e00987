"""Seals the keys of an installation with a passphrase: scrypt for the key, AES-256-GCM for the content.

A sealed file is a line of JSON (the parameters) and the ciphertext. It is bound to the manifest of its set: a changed
manifest makes it unreadable. Without Django.
"""

from __future__ import annotations

import base64
import json
import os
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from greenroom.basics.errors import PlatformError, UserError

COST, BLOCK, PARALLEL = 2**16, 8, 1
"""Scrypt's parameters: 64 MB of memory for each guess of a passphrase."""
MOST_COST = 2**20
CHECK = b"greenroom backup"
SHORTEST = 12
"""Characters of a passphrase that an operator chooses."""


def seal(content: bytes, *, passphrase: str, bound_to: bytes) -> bytes:
    """The sealed content. bound_to: bytes that ``unseal`` must be given, too."""
    salt, nonce, check_nonce = os.urandom(16), os.urandom(12), os.urandom(12)
    cipher = AESGCM(_key(passphrase, salt, COST))
    head = {
        "kdf": "scrypt",
        "cost": COST,
        "salt": _text(salt),
        "nonce": _text(nonce),
        "check": _text(check_nonce + cipher.encrypt(check_nonce, CHECK, None)),
    }
    return json.dumps(head).encode() + b"\n" + cipher.encrypt(nonce, content, bound_to)


def unseal(data: bytes, *, passphrase: str, bound_to: bytes) -> bytes:
    """The content. UserError for a wrong passphrase, PlatformError for a damaged file or a changed manifest."""
    line, _, body = data.partition(b"\n")
    try:
        head: dict[str, Any] = json.loads(line)
        salt, nonce, check = (base64.b64decode(head[name]) for name in ("salt", "nonce", "check"))
        cost = int(head["cost"])
        if not 2 <= cost <= MOST_COST or cost & (cost - 1):
            raise ValueError("cost")
    except (ValueError, KeyError, TypeError) as error:
        raise PlatformError(
            "The sealed keys are damaged: their header is unreadable.", hint="use another set"
        ) from error
    cipher = AESGCM(_key(passphrase, salt, cost))
    try:
        cipher.decrypt(check[:12], check[12:], None)
    except (InvalidTag, ValueError) as error:
        raise UserError(
            "The passphrase is wrong: it does not open the keys of this backup.",
            hint="use the passphrase of the backup: --passphrase-file FILE",
        ) from error
    try:
        return cipher.decrypt(nonce, body, bound_to)
    except (InvalidTag, ValueError) as error:
        raise PlatformError(
            "The sealed keys do not match their manifest: keys.sealed or manifest.json was changed.",
            hint="use another set",
        ) from error


def _key(passphrase: str, salt: bytes, cost: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=cost, r=BLOCK, p=PARALLEL).derive(passphrase.encode())


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
