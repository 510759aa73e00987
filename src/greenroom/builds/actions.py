"""Starts builds, records their steps and their ends: the only writer of the builds tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
from greenroom.builds.drivers import cache_budget
from greenroom.builds.models import Build, BuildCache
from greenroom.builds.rules import dyno_ids, visible_config
from greenroom.engine.contract import Engine


def start(*, app: App, commit: str, account: Account | None) -> Build:
    """A new build of the commit; nothing runs before the first ``steps.advance``."""
    return Build.objects.create(app=app, commit=commit, account=account)


def note_step(*, build: Build, phase: str, facts: Mapping[str, Any]) -> None:
    """Write what a step found out and which step is next; nothing when somebody has ended the build."""
    build.facts = {**build.facts, **facts}
    build.facts.pop("trouble", None)
    build.phase = phase
    rows = Build.objects.filter(pk=build.pk, status="pending")
    rows.update(facts=build.facts, phase=phase, updated_at=clock.now())


def note_trouble(*, build: Build, since: float) -> None:
    """Write since when the platform's own trouble keeps the build from its next step, in seconds since the epoch."""
    build.facts = {**build.facts, "trouble": since}
    build.save(update_fields=["facts", "updated_at"])


def conclude(*, build: Build, **columns: Any) -> bool:
    """Write the end of the build, unless somebody ended it before: then the row is left as it is and read again."""
    now = clock.now()
    columns = {"phase": "done", "finished_at": now, "updated_at": now, "facts": build.facts, **columns}
    changed = Build.objects.filter(pk=build.pk, status="pending").update(**columns)
    if not changed:
        build.refresh_from_db()
        return False
    for name, value in columns.items():
        setattr(build, name, value)
    return True


def cancel(*, build: Build, engine: Engine, why: str = "Nobody waited for it any more.") -> Build:
    """End a build that nobody waits for any more; its dynos are killed. One that has ended stays as it is."""
    now = clock.now()
    columns = {"status": "cancelled", "phase": "done", "finished_at": now, "updated_at": now}
    message = {"failure_reason": "build::cancelled", "failure_message": f"The build was cancelled. {why}"}
    Build.objects.filter(pk=build.pk, status="pending").update(**columns, **message)
    build.refresh_from_db()
    for name in dyno_ids(build.id.hex, build.facts.get("lost", 0)):
        engine.forget(name)
    return build


def cancel_by(*, actor: Actor, build: Build, engine: Engine) -> Build:
    """The same, because somebody asked. ConflictError when the build has ended."""
    with transaction.atomic():
        lock_apps([build.app_id])
        row = Build.objects.select_for_update(no_key=True).get(pk=build.pk)
        if row.status != "pending":
            number = str(row.id)[:8]
            raise ConflictError(
                f"Build {number} has ended already: {row.status}.",
                hint=f"greenroom builds:info {number} -a {build.app.name}",
            )
        audit(actor=actor, action="build.cancel", app=build.app, detail={"build": str(row.id), "commit": row.commit})
    cancelled = cancel(build=build, engine=engine, why=f"{actor.email} asked for it.")
    wake()
    return cancelled


@transaction.atomic
def change_visible(
    *, actor: Actor, app: App, add: Collection[str] = (), remove: Collection[str] = ()
) -> tuple[str, ...]:
    """Put names of config vars on the app's list of those that installers see, or take them off; the list. UserError
    for a bad name.
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


def purge_cache(*, actor: Actor, app: App, engine: Engine, home: Path) -> BuildCache:
    """Let the app's next build start from nothing: requirements are resolved and installed anew, what was built from
    sources is built again.

    The wheels that all apps share stay: each is checked against its hash. Releases keep their environments. The row
    alone makes the next
    build a fresh one; emptying the folder only gives the space back.
    """
    row = start_afresh(actor=actor, app=app)
    cache = cache_budget.of_app(app, home)
    if cache.size:
        cache_budget.empty(cache, engine, home, row.generation)
    return row


def start_afresh(*, actor: Actor, app: App) -> BuildCache:
    """Let builds that begin from now on use nothing of those before; the cache's folder stays until it is too large."""
    with transaction.atomic():
        row, _ = BuildCache.objects.select_for_update(no_key=True).get_or_create(
            app=app, defaults={"purged_at": clock.now()}
        )
        row.generation += 1
        row.purged_at = clock.now()
        row.save()
        audit(actor=actor, action="build_cache.purge", app=app, detail={"generation": row.generation})
    return row
