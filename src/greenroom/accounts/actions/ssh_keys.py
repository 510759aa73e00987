"""SSH public keys of an account: parse, add and remove. Git uses HTTPS only; there is no SSH transport."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from django.db import IntegrityError, transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.models import Account, SSHKey
from greenroom.accounts.rules import Actor
from greenroom.basics.errors import NotFoundError, UserError
from greenroom.basics.text import printable

TYPES = ("ssh-rsa", "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")
RSA_BITS = 2048
MAX_LENGTH = 16_384
MAX_KEYS = 100
PRIVATE = re.compile(r"PRIVATE KEY-----|^PuTTY-User-Key-File", re.IGNORECASE | re.MULTILINE)
HINT = "send the one line of a file such as ~/.ssh/id_ed25519.pub"


@dataclass(frozen=True)
class PublicKey:
    """A parsed public key. fingerprint: ``SHA256:...`` as ``ssh-keygen -l`` prints it; comment: may be empty."""

    type: str
    body: str
    comment: str
    fingerprint: str


def read_public_key(text: str) -> PublicKey:
    """Parse the line of a .pub file. UserError for an invalid key; its message never contains the text, which may be a
    private key.
    """
    if PRIVATE.search(text):
        raise UserError("This is a private key. It was not stored. Never share it.", hint=HINT)
    line = text.strip().replace("\t", " ")
    if not line or len(line) > MAX_LENGTH or printable(line, one_line=True) != line:
        raise UserError(f"public_key must be one line of at most {MAX_LENGTH} characters: TYPE KEY COMMENT.", hint=HINT)
    kind, body, comment = (*line.split(None, 2), "", "")[:3]
    if kind not in TYPES:
        raise UserError(f"public_key must begin with its type: {', '.join(TYPES)}.", hint=HINT)
    try:
        blob = base64.b64decode(body, validate=True)
        key = load_ssh_public_key(f"{kind} {body}".encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UserError(f"The {kind} key is invalid: its data is not a key of this type.", hint=HINT) from error
    if isinstance(key, RSAPublicKey) and key.key_size < RSA_BITS:
        raise UserError(
            f"The RSA key has {key.key_size} bits; at least {RSA_BITS} are required.", hint="ssh-keygen -t ed25519"
        )
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return PublicKey(kind, body, comment.strip()[:200], f"SHA256:{digest}")


@transaction.atomic
def add(*, actor: Actor, account: Account, text: str) -> SSHKey:
    """Add a public key. The default comment is the account's e-mail address. UserError."""
    key = read_public_key(text)
    Account.objects.select_for_update(no_key=True).get(pk=account.pk)
    if account.ssh_keys.count() >= MAX_KEYS:
        raise UserError(f"SSH key limit reached ({MAX_KEYS}).", hint="heroku keys:remove COMMENT")
    comment = key.comment or account.email
    line = f"{key.type} {key.body} {comment}"
    try:
        with transaction.atomic():
            row = SSHKey.objects.create(account=account, public_key=line, fingerprint=key.fingerprint, comment=comment)
    except IntegrityError as error:
        raise UserError("Fingerprint already exists. Please use a different SSH key.", hint="heroku keys") from error
    audit(actor=actor, action="key.add", detail={"key": str(row.id), "fingerprint": row.fingerprint})
    return row


@transaction.atomic
def remove(*, actor: Actor, account: Account, key: str) -> SSHKey:
    """Remove a key, given its id or fingerprint. NotFoundError if the account has no such key."""
    row = find(account, key)
    SSHKey.objects.filter(pk=row.pk).delete()
    audit(actor=actor, action="key.remove", detail={"key": key, "fingerprint": row.fingerprint})
    return row


def find(account: Account, key: str) -> SSHKey:
    """The account's key with that id or fingerprint. NotFoundError if there is none."""
    row = next((row for row in account.ssh_keys.all() if key in (str(row.id), row.fingerprint)), None)
    if row is None:
        raise NotFoundError("Couldn't find that key.", resource="key")
    return row
