"""Builds the DynoSpec of a dyno's row: the slug's files, the environment, the forwards to its add-ons."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from greenroom.addons import queries as addons
from greenroom.addons.rules.access import role_for
from greenroom.apps.queries import allowed_targets
from greenroom.buildpacks.rules.dyno_environment import command_argv, runtime_env
from greenroom.config_vars.queries import values
from greenroom.dynos.models import Dyno
from greenroom.dynos.rules import SCHEDULER, SIZES, StartOptions
from greenroom.engine.contract import VASTLY, Capacity, DynoSpec, Kind, Limits
from greenroom.releases.models import Release
from greenroom.releases.queries.release_commands import facts
from greenroom.slugs.models import Slug
from greenroom.slugs.queries import buildpack_parts, mounts

PORT = 5000
ONE_OFF_SECONDS = 24 * 3600.0
IDLE_SECONDS = 55.0
"""Time without data after which a web dyno's connection is closed, as by Heroku's router."""


def environment(*, dyno: Dyno, home: Path, capacity: Capacity, extra: Mapping[str, str]) -> dict[str, str]:
    """The dyno's whole environment: the platform's variables, the config vars of its release, and ``extra`` (TERM, -e).

    Only dynos that users started (``run``) get the credentials of the database owner; all others get those that cannot
    change the schema.
    """
    release, app = dyno.release, dyno.app
    slug = _slug(release)
    role = role_for(dyno.kind, slug.settings.get("policy") or {})
    config = addons.environment({**values(release.config, home), **extra}, app=app, home=home, access=role)
    return runtime_env(
        config=config,
        process=dyno.name,
        port=PORT if dyno.kind == "web" else 0,
        **capacity.of(SIZES[dyno.size]),
        manager=slug.manifest.get("package_manager", ""),
        parts=buildpack_parts(slug),
        facts=facts(release, slug) | {"HEROKU_DYNO_ID": str(dyno.id)},
    )


def _slug(release: Release) -> Slug:
    assert release.slug is not None, "a dyno needs a release with a slug"
    return release.slug


def spec(*, dyno: Dyno, home: Path, capacity: Capacity, options: StartOptions) -> DynoSpec:
    """The DynoSpec of this dyno."""
    web = dyno.kind == "web"
    own = "run" if dyno.kind == SCHEDULER else dyno.kind
    kind = cast(Kind, own if own in ("web", "worker", "run", "release", "probe") else "worker")
    return DynoSpec(
        id=dyno.engine_id,
        kind=kind,
        owner=dyno.app_id.hex,
        uid=dyno.app.number,
        process=dyno.name,
        command=command_argv(dyno.command),
        env=environment(dyno=dyno, home=home, capacity=capacity, extra=options.extra),
        mounts=(*mounts(_slug(dyno.release)), *addons.mounts(dyno.app, dyno=dyno.kind)),
        port=PORT if web else 0,
        socket=dyno.endpoint,
        allowed=allowed_targets(dyno.app),
        forwards=addons.forwards(dyno.app),
        limits=Limits(
            memory_mb=VASTLY * SIZES[dyno.size],
            quota_mb=SIZES[dyno.size],
            timeout=0.0 if kind in ("web", "worker") else options.seconds or ONE_OFF_SECONDS,
            idle=IDLE_SECONDS if web else 0.0,
        ),
        log=dyno.app.log_folder,
        attach=options.attach,
        tty=options.tty,
        rows=options.rows,
        columns=options.columns,
        hang_up=options.hang_up,
    )
