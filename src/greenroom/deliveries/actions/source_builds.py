"""Delivers a source archive like a push: commits it to the protected branch, where the gate judges it like any other
commit.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path

from greenroom.accounts.models import Account
from greenroom.accounts.rules import Actor
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.basics.errors import UserError
from greenroom.deliveries.actions import open_for_push
from greenroom.deliveries.models import Delivery
from greenroom.git import queries
from greenroom.git.actions import platform_pushes
from greenroom.git.drivers import source_archives
from greenroom.git.drivers.tarball import import_tarball

CHECKSUM = re.compile(r"(?:sha256:)?([0-9a-f]{64})\Z", re.IGNORECASE)


def archive_of(url: str, *, home: Path, key: str, checksum: str = "") -> Path:
    """Return the uploaded file of a get_url from ``POST /sources``. UserError for any other URL (the platform fetches
    no user-supplied URL), and if the SHA-256 differs from ``checksum`` (``SHA256:...``).
    """
    found = source_archives.file_of(url, home=home, key=key)
    if found is None:
        raise UserError(
            "Only archives uploaded to this installation can be built.",
            hint="POST /sources, PUT the archive to its put_url, then use its get_url",
        )
    if checksum:
        match = CHECKSUM.match(checksum.strip())
        if match is None:
            raise UserError("checksum must be SHA256: and 64 hexadecimal digits.")
        with found.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if not hmac.compare_digest(digest, match[1].lower()):
            raise UserError(
                f"The archive's SHA-256 is {digest}, which does not match the checksum.", hint="upload it again"
            )
    return found


def deliver(*, actor: Actor, app: App, home: Path, archive: Path, version: str = "") -> Delivery:
    """Commit the archive on top of the protected branch and open its delivery. version: the client's label.

    UserError if the archive cannot become a commit; ConflictError on a concurrent push.
    """
    account = Account.objects.filter(pk=actor.account).first()
    name = (account.name or account.email) if account else "greenroom"
    sha = import_tarball(
        app=app,
        home=home,
        tarball=archive,
        message=f"Source archive {version}".strip(),
        name=name,
        email=actor.email,
        parent=queries.head(app, home, app.protected_branch),
        at=int(clock.now().timestamp()),
    ).sha
    push = platform_pushes.move_branch(app=app, home=home, sha=sha, account=account, address=actor.address)
    return open_for_push(push=push)
