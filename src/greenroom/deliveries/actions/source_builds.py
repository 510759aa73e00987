"""Delivers a source archive like a push: commits it to the protected branch, where the gate judges it like any other
commit.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from greenroom.accounts.models import Account
from greenroom.accounts.rules import Actor
from greenroom.addons.actions import refuse_given
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.basics.errors import UserError
from greenroom.config_vars.actions import refuse_problems
from greenroom.deliveries.actions import app_lifecycle, change_config, open_for_push
from greenroom.deliveries.models import Delivery
from greenroom.git import queries
from greenroom.git.actions import platform_pushes
from greenroom.git.drivers.tarball import import_tarball

CHECKSUM = re.compile(r"(?:sha256:)?([0-9a-f]{64})\Z", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class SourceBlob:
    """An uploaded archive. url: a get_url of ``POST /sources``; checksum: ``SHA256:...``, or empty; version: the
    client's label.
    """

    url: str
    checksum: str
    version: str


def build(*, actor: Actor, app: App, home: Path, key: str, blob: SourceBlob) -> Delivery:
    """Deliver the archive. key: signs the URLs of sources. Errors as of ``deliver``, and UserError for any other URL
    (the platform fetches no user-supplied URL) or a wrong checksum.
    """
    return deliver(actor=actor, app=app, home=home, archive=_archive_of(blob, home, key), version=blob.version)


def create_app(
    *, actor: Actor, name: str | None, config: Mapping[str, str | None], home: Path, key: str, blob: SourceBlob
) -> Delivery:
    """Create an app with config vars, and deliver the archive to it. Errors as of ``build``; for a wrong URL, checksum
    or config var no app is created.
    """
    archive = _archive_of(blob, home, key)
    refuse_problems(config)
    refuse_given(config)
    app = app_lifecycle.create(actor=actor, name=name, home=home)
    if config:
        change_config(actor=actor, app=app, home=home, updates=dict(config))
    return deliver(actor=actor, app=app, home=home, archive=archive, version=blob.version)


def _archive_of(blob: SourceBlob, home: Path, key: str) -> Path:
    checksum, found = blob.checksum, queries.uploaded_archive(blob.url, home=home, key=key)
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
