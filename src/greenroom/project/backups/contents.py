"""Lists what the control database refers to outside of itself: code, environments, repositories, data of add-ons.

Called inside the transaction whose snapshot ``pg_dump`` uses, so that the list and the dump describe the same moment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from greenroom.addons import registry
from greenroom.addons.models import Addon
from greenroom.apps.models import App
from greenroom.engine.contract import PYTHONS
from greenroom.releases.models import Release
from greenroom.slugs.models import Slug


@dataclass(frozen=True)
class Contents:
    """trees: file of the set -> paths relative to home, which never change. apps: for the manifest. repos: of these
    apps. addons: with the names of their parts. migrations: ``app.name`` of the control database's own. server_major:
    version of its server.
    """

    apps: list[dict[str, Any]] = field(default_factory=list)
    trees: dict[str, tuple[str, ...]] = field(default_factory=dict)
    repos: list[App] = field(default_factory=list)
    addons: list[tuple[Addon, tuple[str, ...]]] = field(default_factory=list)
    migrations: list[str] = field(default_factory=list)
    server_major: int = 0


def read(home: Path) -> Contents:
    """The contents as of the current transaction."""
    apps = list(App.objects.order_by("number"))
    addons = [(addon, _parts(addon)) for addon in provisioned()]
    trees: dict[str, tuple[str, ...]] = {}
    for slug in Slug.objects.all():
        trees |= _of_slug(slug, home)
    with connection.cursor() as cursor:
        cursor.execute("SELECT app || '.' || name FROM django_migrations ORDER BY 1")
        migrations = [name for (name,) in cursor.fetchall()]
        cursor.execute("SHOW server_version_num")
        version = cursor.fetchone()
    major = int(version[0] if version else 0) // 10_000
    return Contents([_app(app) for app in apps], trees, apps, addons, migrations, major)


def provisioned() -> QuerySet[Addon]:
    """The add-ons whose data a set has."""
    return Addon.objects.filter(state="provisioned").select_related("app__owner").order_by("created_at")


def _parts(addon: Addon) -> tuple[str, ...]:
    backups = registry.kind(addon.kind).backups
    return backups.parts(addon) if backups else ()


def _app(app: App) -> dict[str, Any]:
    last = Release.objects.filter(app=app).order_by("-version").values_list("version", flat=True).first()
    return {"name": app.name, "id": str(app.pk), "release": last}


def _of_slug(slug: Slug, home: Path) -> dict[str, tuple[str, ...]]:
    """The slug, its environments, and the interpreter and tools that Greenroom has downloaded for it."""
    found: dict[str, tuple[str, ...]] = {f"slugs/{slug.digest}.tar.gz": (f"slugs/{slug.digest}",)}
    for key in filter(None, (*slug.env_keys, slug.manifest.get("tool_key", ""))):
        beside = f"envs/{key}.json"
        found[f"envs/{key}.tar.gz"] = (f"envs/{key}", *((beside,) if (home / beside).exists() else ()))
    prefix = (slug.manifest.get("interpreter") or {}).get("prefix", "")
    if prefix.startswith(PYTHONS + "/"):
        version = prefix.removeprefix(PYTHONS + "/").partition("/")[0]
        found[f"pythons/{version}.tar.gz"] = (f"cache/python/{version}",)
    if tool := (slug.manifest.get("node") or {}).get("tool", ""):
        folder = str(tool).partition("/")[0]
        found[f"tools/{folder}.tar.gz"] = (f"cache/tools/{folder}",)
    return found
