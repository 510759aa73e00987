"""Starts builds, carries them on step by step, ends them: the only writer of the builds table."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from django.db import DatabaseError, DataError, transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.models import Account
from greenroom.accounts.rules import Actor
from greenroom.apps.actions import change_settings, lock_apps
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError, PlatformError, UserError
from greenroom.basics.text import printable
from greenroom.buildpacks.errors import BuildError
from greenroom.builds.drivers import cache_budget
from greenroom.builds.drivers.test_environments import TestOverlay, prepare_test_overlay
from greenroom.builds.loop import Failed, Steps
from greenroom.builds.models import Build, BuildCache
from greenroom.builds.rules import dyno_ids, visible_config
from greenroom.engine.contract import Engine

__all__ = [
    "TestOverlay",
    "advance",
    "cancel",
    "cancel_by",
    "change_visible",
    "prepare_test_overlay",
    "purge_cache",
    "start",
    "start_afresh",
]
logger = logging.getLogger(__name__)
PATIENCE = 120.0
"""Seconds for which the platform's own trouble (an engine that restarts, a full disk) is waited out before a build
counts as errored.
"""


def start(*, app: App, commit: str, account: Account | None) -> Build:
    """A new build of the commit; nothing runs before the first ``advance``."""
    return Build.objects.create(app=app, commit=commit, account=account)


def advance(
    *, build: Build, engine: Engine, home: Path, say: Callable[[str], None], config: Mapping[str, str] | None = None
) -> Build:
    """Carry the build on as far as it goes without waiting. Call it again until ``status`` is not pending.

    say:    takes lines for the pusher. They may come twice after a crash, they are never left out.
    config: the app's config vars, in clear; hooks and collectstatic see them, installers those that ``visible`` allows.
    """
    steps = Steps(build=build, engine=engine, home=home, say=say, config=config or {})
    try:
        while build.status == "pending" and steps.take():
            pass
    except BuildError as error:
        _end(steps, "failed", error.reason, error.message, error.hint)
    except Failed as failure:
        status = failure.ended.kind if failure.ended.kind in ("failed", "cancelled") else "errored"
        _end(steps, status, failure.ended.reason, failure.ended.message, failure.ended.hint)
    except (PlatformError, OSError) as error:
        _trouble(steps, error)
    except DataError:  # a value that no row can hold: the next look would find it again
        logger.exception("build %s of %s", build.id, build.app.name)
        build.refresh_from_db()
        _end(steps, "errored", "build::platform", *_own_fault(build))
    except DatabaseError:
        raise
    except Exception:
        logger.exception("build %s of %s", build.id, build.app.name)
        _end(steps, "errored", "build::platform", *_own_fault(build))
    else:
        if build.status != "pending":
            steps.forget()
    return build


def _own_fault(build: Build) -> tuple[str, str]:
    """The message and the hint when it is no fault of the commit that anybody knows of."""
    text = "Greenroom failed while it built this commit, at a fault of its own. Its log names the build."
    return text, f"tell the operator: build {build.id}"


def _end(steps: Steps, status: str, reason: str, message: str, hint: str) -> None:
    steps.conclude(
        status=status,
        failure_reason=_plain(reason)[:80],
        failure_message=_plain(steps.mask(message)),
        failure_hint=_plain(hint),
    )
    steps.forget()


def _plain(text: str) -> str:
    """The text as a row can hold it and a terminal can show it: a build's last output may contain anything."""
    return printable(text.replace("\0", "\u2400"), instead="?")


def _trouble(steps: Steps, error: PlatformError | OSError) -> None:
    """The platform's own trouble: tried again at the next call, for a while."""
    build, now = steps.build, clock.now().timestamp()
    since = build.facts.get("trouble", now)
    logger.warning("build %s of %s: %s", build.id, build.app.name, error)
    if now - since > PATIENCE:
        message = (
            error.message
            if isinstance(error, PlatformError)
            else f"The platform's disk or engine failed: {error.strerror}."
        )
        _end(steps, "errored", "build::platform", message, getattr(error, "hint", "") or "greenroom doctor")
        return
    if "trouble" in build.facts:
        return
    build.facts = {**build.facts, "trouble": since}
    build.save(update_fields=["facts", "updated_at"])


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
    return cancel(build=build, engine=engine, why=f"{actor.email} asked for it.")


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
    row = App.objects.select_for_update(no_key=True).get(pk=app.pk)
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
