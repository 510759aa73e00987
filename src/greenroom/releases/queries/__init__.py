"""Reads releases."""

from __future__ import annotations

from pathlib import Path

from django.db.models import QuerySet

from greenroom.apps.models import App
from greenroom.basics.errors import NotFoundError
from greenroom.basics.ids import is_uuid
from greenroom.buildpacks.rules.app_files import required_env
from greenroom.config_vars import queries as config_queries
from greenroom.config_vars import rules as config_rules
from greenroom.config_vars.models import ConfigVersion
from greenroom.releases.models import Release
from greenroom.releases.rules import Candidate
from greenroom.slugs.models import Slug


def of_app(app: App) -> QuerySet[Release]:
    """The app's releases, newest first."""
    return Release.objects.filter(app=app).select_related("app", "slug", "config", "account").order_by("-version")


def newest(app: App, *statuses: str) -> Release | None:
    """The newest release, of these statuses if any are given."""
    rows = of_app(app)
    return rows.filter(status__in=statuses).first() if statuses else rows.first()


def by_name(app: App, name: str) -> Release:
    """The release called ``v12``, ``12`` or by its id; ``current`` is the newest that succeeded."""
    if name == "current":
        found = newest(app, "succeeded")
    elif name.lstrip("v").isdecimal() and len(name) < 10:
        found = of_app(app).filter(version=int(name.lstrip("v"))).first()
    else:
        found = of_app(app).filter(pk=name).first() if is_uuid(name) else None
    if found is None:
        raise NotFoundError(
            f"Couldn't find release {name[:40]}.", hint=f"greenroom releases -a {app.name}", resource="release"
        )
    return found


def candidates(app: App) -> list[Candidate]:
    """All releases, as input of the rollback rule."""
    rows = Release.objects.filter(app=app).order_by("-version").values_list("version", "status", "slug_id")
    return [Candidate(version, status, slug is not None) for version, status, slug in rows]


def gaps(slug: Slug, config: ConfigVersion) -> dict[str, str]:
    """The required config vars of the slug that the config version does not set, with the reasons."""
    return config_rules.missing(
        required_env(slug.app_json, slug.is_django, slug.manifest.get("secret_key", "SECRET_KEY")), config.names
    )


def config_values(release: Release, home: Path) -> dict[str, str]:
    """The decrypted config vars of a release."""
    return config_queries.values(release.config, home)
