"""Stores slugs: the tree in the content-addressed store, and the row."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from django.db import transaction

from greenroom.apps.models import App
from greenroom.basics.errors import PlatformError
from greenroom.slugs.drivers import store as disk
from greenroom.slugs.models import Slug
from greenroom.slugs.queries import env_identity


def store(
    *, app: App, home: Path, tree: Path, env_key: str, commit: str, manifest: dict[str, Any] | None = None, **facts: Any
) -> Slug:
    """Copy ``tree`` into the store and record it. Repeatable: the same tree gives the same slug.

    facts: process_types, app_json, settings, is_django, migrations_digest. AppError when the tree contains something
    that is not allowed in a slug.
    """
    return record(
        app=app,
        stored=disk.keep(tree, home=home, env_key=env_key),
        env_key=env_key,
        commit=commit,
        manifest=manifest,
        **facts,
    )


@transaction.atomic
def record(
    *, app: App, stored: disk.Stored, env_key: str, commit: str, manifest: dict[str, Any] | None = None, **facts: Any
) -> Slug:
    """The row for a stored tree. An app that built the same content of the same commit before gets the same row
    back.
    """
    slug, _ = Slug.objects.get_or_create(
        app=app,
        digest=stored.digest,
        commit=commit,
        defaults={
            "env_key": env_key,
            "size": stored.size,
            "manifest": {"commit": commit, "files": len(stored.files), **(manifest or {})},
            **facts,
        },
    )
    return slug


@transaction.atomic
def adopt(*, slug: Slug, app: App) -> Slug:
    """The same content as a slug of another app: nothing is copied but the row. Repeatable."""
    if slug.app_id == app.pk:
        return slug
    kept = ("env_key", "process_types", "app_json", "settings", "manifest", "is_django", "migrations_digest", "size")
    facts = {name: getattr(slug, name) for name in kept}
    row, _ = Slug.objects.get_or_create(app=app, digest=slug.digest, commit=slug.commit, defaults=facts)
    return row


def forget(slugs: Collection[Slug]) -> None:
    """Take the rows away; their files follow when nobody has used them for a while, see ``deliveries.retention``.
    RestrictedError for a release's.
    """
    Slug.objects.filter(pk__in=[slug.pk for slug in slugs]).delete()


def verify(slug: Slug, home: Path) -> bool:
    """Whether the files on disk match the digest, and the environment exists."""
    folder = home / slug.folder
    if not folder.is_dir() or not (home / slug.env_folder / "bin" / "python").is_symlink():
        return False
    if not all((home / layer).is_dir() for layer in slug.env_folders):
        return False
    return disk.measure(folder, env_identity(slug)) == slug.digest


def intact(slug: Slug, home: Path) -> bool:
    """Like ``verify``, for every start of a dyno.

    A tree of more than 32 MB that this process has read is read again only after something in it changed, as the
    kernel's times tell.
    """
    folder = home / slug.folder
    stamp = disk.stamp(folder) if slug.size > EVERY_TIME and folder.is_dir() else ""
    if stamp and _verified.get(slug.digest) == stamp and (home / slug.env_folder).is_dir():
        return True
    _verified.pop(slug.digest, None)
    if not verify(slug, home):
        return False
    if stamp:
        _verified[slug.digest] = stamp
    return True


class SlugDamagedError(PlatformError):
    """The slug's files on disk do not match its digest; no dyno starts from it."""

    id = "slug_damaged"

    def __init__(self, slug: Slug) -> None:
        super().__init__(
            f"The files of slug {slug.digest[:13]} (commit {slug.commit[:8]}) are corrupt: wrong digest.",
            hint=(f"greenroom rollback -a {slug.app.name}, or push a new commit; check the disk with greenroom doctor"),
        )


EVERY_TIME = 32 * 1024**2
_verified: dict[str, str] = {}
"""Digest of a large slug -> the stamp that its tree had when it was read last."""
