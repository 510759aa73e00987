"""Starts builds and records their steps and results: the only writer of the builds tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.db import transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.models import Account
from greenroom.accounts.rules import Actor
from greenroom.apps.actions import change_settings, lock_app, lock_apps
from greenroom.apps.actions.worker import wake
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError, UserError
from greenroom.buildpacks.rules import buildpack_list
from greenroom.builds.drivers import cache_budget
from greenroom.builds.models import Build, BuildCache
from greenroom.builds.rules import dyno_ids, visible_config
from greenroom.engine.contract import Engine


def start(*, app: App, commit: str, account: Account | None) -> Build:
    """Create a build of the commit. Nothing runs before the first ``steps.advance``."""
    return Build.objects.create(app=app, commit=commit, account=account)


def note_step(*, build: Build, phase: str, facts: Mapping[str, Any]) -> None:
    """Save the facts of a step and the next phase. Does nothing if the build has ended meanwhile."""
    build.facts = {**build.facts, **facts}
    build.facts.pop("trouble", None)
    build.phase = phase
    rows = Build.objects.filter(pk=build.pk, status="pending")
    rows.update(facts=build.facts, phase=phase, updated_at=clock.now())


def note_trouble(*, build: Build, since: float) -> None:
    """Record when platform errors started to block the build, in seconds since the epoch."""
    build.facts = {**build.facts, "trouble": since}
    build.save(update_fields=["facts", "updated_at"])


def conclude(*, build: Build, **columns: Any) -> bool:
    """Record the end of the build and return True. If it has already ended, reload the row unchanged and return
    False.
    """
    now = clock.now()
    columns = {"phase": "done", "finished_at": now, "updated_at": now, "facts": build.facts, **columns}
    changed = Build.objects.filter(pk=build.pk, status="pending").update(**columns)
    if not changed:
        build.refresh_from_db()
        return False
    for name, value in columns.items():
        setattr(build, name, value)
    return True


def cancel(*, build: Build, engine: Engine, why: str = "It was no longer needed.") -> Build:
    """Cancel a build that is no longer needed and kill its dynos. An ended build is unchanged."""
    now = clock.now()
    columns = {"status": "cancelled", "phase": "done", "finished_at": now, "updated_at": now}
    message = {"failure_reason": "build::cancelled", "failure_message": f"The build was cancelled. {why}"}
    Build.objects.filter(pk=build.pk, status="pending").update(**columns, **message)
    build.refresh_from_db()
    for name in dyno_ids(build.id.hex, build.facts.get("lost", 0)):
        engine.forget(name)
    return build


def cancel_by(*, actor: Actor, build: Build, engine: Engine) -> Build:
    """Cancel a build at a user's request. ConflictError if the build has ended."""
    with transaction.atomic():
        lock_apps([build.app_id])
        row = Build.objects.select_for_update(no_key=True).get(pk=build.pk)
        if row.status != "pending":
            number = str(row.id)[:8]
            raise ConflictError(
                f"Build {number} has already ended: {row.status}.",
                hint=f"greenroom builds:info {number} -a {build.app.name}",
            )
        audit(actor=actor, action="build.cancel", app=build.app, detail={"build": str(row.id), "commit": row.commit})
    cancelled = cancel(build=build, engine=engine, why=f"Cancelled by {actor.email}.")
    wake()
    return cancelled


@transaction.atomic
def change_visible(
    *, actor: Actor, app: App, add: Collection[str] = (), remove: Collection[str] = ()
) -> tuple[str, ...]:
    """Add or remove names on the app's list of config vars that installers may read. Returns the list. UserError for an
    invalid name.
    """
    for name in add:
        if text := visible_config.problem(name):
            raise UserError(text, hint=f"greenroom builds:vars:add NAME -a {app.name}")
    row = lock_app(app.pk)
    settings = visible_config.changed(row.settings, add=add, remove=remove)
    if len(visible_config.names(settings)) > visible_config.MOST:
        raise UserError(
            f"At most {visible_config.MOST} config vars can be on the list.",
            hint=f"greenroom builds:vars -a {app.name}",
        )
    if settings != row.settings:
        change_settings(actor=actor, app=row, settings=settings)
        audit(
            actor=actor, action="build_vars.change", app=app, detail={"added": sorted(add), "removed": sorted(remove)}
        )
    app.settings = settings
    return visible_config.names(settings)


@transaction.atomic
def set_buildpacks(*, actor: Actor, app: App, urls: Sequence[str]) -> App:
    """Set the app's buildpacks, by names or URLs in order; an empty list: detect them at each build. UserError for
    others than Greenroom's.
    """
    if text := buildpack_list.problem(urls):
        raise UserError(text, hint=buildpack_list.INSTEAD)
    names = [buildpack_list.known(url) for url in urls]
    return change_settings(actor=actor, app=lock_app(app.pk), buildpacks=names)


def purge_cache(*, actor: Actor, app: App, engine: Engine, home: Path) -> BuildCache:
    """Make the app's next build start without a cache: it resolves and installs all requirements again, and rebuilds
    packages from source.

    Keeps the wheels that all apps share, since each is checked against its hash, and the environments of releases. The
    row alone makes the next build start afresh; emptying the folder only frees disk space.
    """
    row = start_afresh(actor=actor, app=app)
    cache = cache_budget.of_app(app, home)
    if cache.size:
        cache_budget.empty(cache, engine, home, row.generation)
    return row


def start_afresh(*, actor: Actor, app: App) -> BuildCache:
    """Isolate later builds from all earlier ones. The cache folder stays until it exceeds the budget."""
    with transaction.atomic():
        row, _ = BuildCache.objects.select_for_update(no_key=True).get_or_create(
            app=app, defaults={"purged_at": clock.now()}
        )
        row.generation += 1
        row.purged_at = clock.now()
        row.save()
        audit(actor=actor, action="build_cache.purge", app=app, detail={"generation": row.generation})
    return row
