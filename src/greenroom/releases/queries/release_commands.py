"""The dyno spec of a release command or postdeploy script. Reads only.

The delivery loop starts the dyno before the roll-out (``release``) or after the first switch (``postdeploy``), and then
refuses or continues the release.
"""

from __future__ import annotations

import uuid
from pathlib import Path

from greenroom.addons import queries as addons
from greenroom.addons.rules.access import role_for
from greenroom.apps.queries import allowed_targets, default_domain
from greenroom.basics import clock
from greenroom.buildpacks.rules.dyno_environment import command_argv, runtime_env
from greenroom.buildpacks.rules.release_commands import ReleaseCommand, migrates, release_commands
from greenroom.config_vars.queries import values
from greenroom.engine.contract import VASTLY, Capacity, DynoSpec, Limits
from greenroom.releases.models import Release
from greenroom.releases.rules import COMMAND_SECONDS
from greenroom.slugs.models import Slug
from greenroom.slugs.queries import buildpack_parts, mounts

MEMORY_MB = 512


def of_release(release: Release) -> tuple[ReleaseCommand, ...]:
    """The commands of a release, in order; none for a release without code."""
    slug = release.slug
    if slug is None:
        return ()
    earlier = Release.objects.filter(
        app=release.app, status="succeeded", slug__isnull=False, version__lt=release.version
    )
    policy = slug.settings.get("policy") or {}
    return release_commands(
        process_types=slug.process_types, app_json=slug.app_json, policy=policy, first=not earlier.exists()
    )


def dyno_id(release: Release, command: ReleaseCommand, attempt: int = 0) -> str:
    """The engine's dyno id, which depends on the release and the attempt."""
    return f"{command.kind}-{release.id.hex}" + (f"-{attempt}" if attempt else "")


def spec(
    *,
    release: Release,
    command: ReleaseCommand,
    home: Path,
    capacity: Capacity,
    attempt: int = 0,
    memory_mb: int = MEMORY_MB,
) -> DynoSpec:
    """The dyno spec: the new slug with the release's config vars, without a port, limited to 60 minutes. Its output is
    stored and logged.
    """
    slug, process = _slug(release), f"{command.kind}.{release.version}"
    role = role_for("release", slug.settings.get("policy") or {}, migrates=migrates(command.text))
    return DynoSpec(
        id=dyno_id(release, command, attempt),
        kind="release",
        owner=release.app_id.hex,
        uid=release.app.number,
        process=process,
        command=command_argv(command.text),
        env=runtime_env(
            config=addons.environment(values(release.config, home), app=release.app, home=home, access=role),
            process=process,
            **capacity.of(memory_mb),
            facts=facts(release, slug) | {"HEROKU_DYNO_ID": str(uuid.uuid5(release.id, process))},
            manager=slug.manifest.get("package_manager", ""),
            parts=buildpack_parts(slug),
        ),
        mounts=(*mounts(slug), *addons.mounts(release.app, dyno="release")),
        allowed=allowed_targets(release.app),
        forwards=addons.forwards(release.app),
        limits=Limits(memory_mb=VASTLY * memory_mb, quota_mb=memory_mb, timeout=COMMAND_SECONDS),
        log=release.app.log_folder,
        output=True,
    )


def _slug(release: Release) -> Slug:
    assert release.slug is not None, "a release command needs a release with a slug"
    return release.slug


def facts(release: Release, slug: Slug) -> dict[str, str]:
    """Heroku's dyno metadata of the release, as environment variables."""
    return {
        "HEROKU_APP_ID": str(release.app_id),
        "HEROKU_APP_NAME": release.app.name,
        "HEROKU_APP_DEFAULT_DOMAIN_NAME": default_domain(release.app),
        "HEROKU_RELEASE_CREATED_AT": clock.heroku_time(release.created_at) or "",
        "HEROKU_RELEASE_VERSION": f"v{release.version}",
        "HEROKU_SLUG_COMMIT": slug.commit,
        "HEROKU_BUILD_COMMIT": slug.commit,
        "HEROKU_BUILD_DESCRIPTION": f"Deploy {slug.commit[:8]}",
        "HEROKU_SLUG_DESCRIPTION": f"Deploy {slug.commit[:8]}",
    }
