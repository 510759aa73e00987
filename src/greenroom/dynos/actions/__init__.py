"""Writes the desired state (formation, roll-outs, one-off dynos) and the observed state of dynos."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.db import transaction
from django.db.models import F, Max

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.addons.rules import diagnosis
from greenroom.apps.actions import lock_app, note_released
from greenroom.apps.actions.worker import wake
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError, NotFoundError, UserError
from greenroom.buildpacks.rules.release_commands import first_formation
from greenroom.dynos import queries, rules
from greenroom.dynos.models import Dyno, Formation, PlannedStart, Rollout
from greenroom.dynos.queries.dyno_specs import spec
from greenroom.engine.contract import DynoState, Engine
from greenroom.logs.actions import say
from greenroom.releases.models import Release
from greenroom.slugs.actions import SlugDamagedError, intact
from greenroom.slugs.models import Slug

DEFAULT_SIZE = "standard-1x"


@transaction.atomic
def scale(*, actor: Actor, app: App, home: Path, updates: list[dict], process_types: dict[str, str]) -> list[Formation]:
    """Set quantity and size of process types. Validates all updates before the first write; restarts dynos whose size
    changes.
    """
    lock_app(app.pk)
    sizes = dict(Formation.objects.filter(app=app).values_list("type", "size"))
    changed: list[Formation] = []
    for update in updates:
        changed.append(_one_scale(app, update, process_types))
    for row in changed:
        row.save()
    _replace(app, {row.type for row in changed if sizes.get(row.type, DEFAULT_SIZE) != row.size})
    detail = {row.type: row.quantity for row in changed}
    audit(actor=actor, action="formation.scale", app=app, detail=detail)
    text = (
        f"Scaled to {' '.join(f'{row.type}@{row.quantity}:{row.size.title()}' for row in changed)} by user"
        f" {actor.email}"
    )
    transaction.on_commit(lambda: say(app=app, home=home, process="api", text=text, source="app"))
    wake()
    return changed


def _replace(app: App, types: set[str]) -> None:
    """Restart the dynos of these types. For ``web``, as in a restart of the app, new dynos start before the present
    ones stop.
    """
    if "web" in types:
        Rollout.objects.filter(app=app, state__in=("live", "watched")).update(restart_seq=F("restart_seq") + 100)
        return
    for dyno in running(app):
        if dyno.type in types and dyno.kind == "worker":
            mark(dyno=dyno, state="stopping")


def _one_scale(app: App, update: dict, process_types: dict[str, str]) -> Formation:
    name = str(update.get("type") or "")
    if name in rules.NOT_SCALABLE:
        raise UserError(
            f"The process type {name} runs once per release and cannot be scaled.",
            hint=f"greenroom releases -a {app.name}",
        )
    if name not in process_types:
        known = ", ".join(sorted(process_types)) or "none yet: nothing is deployed"
        raise NotFoundError(
            f"No such process type {name[:60]!r} in {app.name}.",
            hint=f"process types are: {known}",
            resource="formation",
        )
    row = Formation.objects.filter(app=app, type=name).first() or Formation(
        app=app, type=name, quantity=1 if name == "web" else 0
    )
    if update.get("quantity") is not None:
        quantity = rules.parse_quantity(update["quantity"], row.quantity, name)
        if isinstance(quantity, str):
            hint = "set WEB_CONCURRENCY for more processes in each dyno" if name == "web" else ""
            raise UserError(quantity, hint=hint)
        row.quantity = quantity
    if update.get("size"):
        size = str(update["size"]).lower()
        if size not in rules.SIZES:
            raise UserError(f"Dyno size {size[:40]!r} does not exist.", hint=f"sizes are {', '.join(rules.SIZES)}")
        row.size = size
    return row


@transaction.atomic
def want(*, app: App, release: Release) -> Rollout:
    """Make the release a candidate and retire other candidates of the app. Repeatable. The first roll-out applies
    app.json's formation.
    """
    row, _ = Rollout.objects.get_or_create(release=release, defaults={"app": app})
    Rollout.objects.filter(app=app, state="candidate").exclude(pk=row.pk).update(state="retired")
    if release.slug and not Rollout.objects.filter(app=app, state__in=("live", "retired")).exclude(pk=row.pk).exists():
        for name, quantity in first_formation(release.slug.process_types, release.slug.app_json).items():
            number = rules.parse_quantity(quantity, 0, name)
            if isinstance(number, int):
                Formation.objects.get_or_create(app=app, type=name, defaults={"quantity": number})
    return row


@transaction.atomic
def watch(*, rollout: Rollout) -> None:
    """Give the candidate the traffic on trial; the previous roll-out stays up until ``make_live`` or ``give_up``.
    Repeatable.
    """
    Rollout.objects.filter(pk=rollout.pk, state="candidate").update(state="watched", switched_at=clock.now())
    rollout.refresh_from_db(fields=["state", "switched_at"])


@transaction.atomic
def make_live(*, rollout: Rollout) -> None:
    """Make the candidate live and retire the previous roll-out. Call it after the route has been switched."""
    if rollout.state != "live":
        Rollout.objects.filter(app_id=rollout.app_id, state="live").update(state="retired")
        Rollout.objects.filter(pk=rollout.pk).update(state="live")
        note_released(pk=rollout.app_id, https=queries.sends_to_https(rollout))
        rollout.state = "live"


@transaction.atomic
def give_up(*, rollout: Rollout, failure: str) -> None:
    """Retire a candidate or watched roll-out. The loop stops its dynos."""
    Rollout.objects.filter(pk=rollout.pk, state__in=("candidate", "watched")).update(state="retired", failure=failure)


@transaction.atomic
def hold(*, rollout: Rollout, failure: str) -> None:
    """Hold the candidate for its migrations. The loop stops its dynos; the live roll-out continues. Repeatable."""
    Rollout.objects.filter(app_id=rollout.app_id, state="held").exclude(pk=rollout.pk).update(state="retired")
    Rollout.objects.filter(pk=rollout.pk, state="candidate").update(state="held", failure=failure)
    rollout.state = "held"


@transaction.atomic
def try_again(*, rollout: Rollout) -> None:
    """Make a held roll-out a candidate again, with new dynos. Does nothing if it is not held."""
    Rollout.objects.filter(pk=rollout.pk, state="held").update(
        state="candidate", failure="", restart_seq=F("restart_seq") + 100, updated_at=clock.now()
    )


@transaction.atomic
def drop(*, rollout: Rollout) -> None:
    """Retire a held roll-out. Does nothing if it is not held."""
    Rollout.objects.filter(pk=rollout.pk, state="held").update(state="retired")


@transaction.atomic
def restart(*, actor: Actor, app: App, name: str = "", word: str = "restart") -> int:
    """Replace all dynos of the app, or those with a name or type. A web dyno serves until its successor does; others
    stop first and then restart.

    For the type ``web``, all dynos of the app are replaced, so that the type never stops as a whole. The audit log
    records ``word``: restart or stop.
    """
    audit(actor=actor, action=f"dynos.{word}", app=app, detail={"name": name})
    wake()
    if name in ("", "web"):
        return Rollout.objects.filter(app=app, state__in=("live", "watched")).update(restart_seq=F("restart_seq") + 100)
    dynos = [d for d in running(app) if name in (d.name, d.type, str(d.id))]
    if not dynos:
        raise NotFoundError(f"Couldn't find dyno {name[:60]}.", hint=f"greenroom ps -a {app.name}", resource="dyno")
    for dyno in dynos:
        if dyno.kind == "web":
            Dyno.objects.filter(pk=dyno.pk).update(leaving=True, updated_at=clock.now())
        else:
            mark(dyno=dyno, state="stopping")
    return len(dynos)


def running(app: App) -> list[Dyno]:
    """The app's dynos that have not ended."""
    rows = Dyno.objects.filter(app=app, state__in=("wanted", "starting", "up")).select_related(
        "app", "release", "account"
    )
    return list(rows.order_by("type", "ordinal"))


@transaction.atomic
def make(*, app: App, release: Release, start: rules.Start, kind: str, command: str, size: str) -> Dyno:
    """Create the row of a formation dyno, before anything is started."""
    unique = secrets.token_hex(4)
    return Dyno.objects.create(
        app=app,
        release=release,
        kind=kind,
        type=start.type,
        ordinal=start.ordinal,
        command=command,
        size=size,
        generation=start.generation,
        restarts=start.restarts,
        not_before=start.not_before,
        engine_id=rules.engine_id(app.number, release.version, f"{start.type}.{start.ordinal}", unique),
    )


@transaction.atomic
def make_one_off(
    *, actor: Actor, app: App, release: Release, command: str, size: str, kind: str = "run", attached: bool = False
) -> Dyno:
    """Create the row of a one-off dyno. ConflictError if there is no code to run; UserError without a command.

    attached: it ends when the actor's account is disabled.
    """
    if release.slug is None:
        raise ConflictError(f"{app.name} has no code yet: nothing can be run.", hint="git push greenroom HEAD:master")
    if not command.strip() or "\0" in command:
        raise UserError("A command is needed.", hint=f"greenroom run -a {app.name} -- python manage.py shell")
    if size not in rules.SIZES:
        raise UserError(f"Dyno size {size[:40]!r} does not exist.", hint=f"sizes are {', '.join(rules.SIZES)}")
    lock_app(app.pk)
    top = Dyno.objects.filter(app=app, type=kind).aggregate(top=Max("ordinal"))["top"] or 0
    ordinal = max(top + 1, 1000 + secrets.randbelow(9000))
    unique = secrets.token_hex(4)
    row = Dyno.objects.create(
        app=app,
        release=release,
        kind=kind,
        type=kind,
        ordinal=ordinal,
        command=command,
        size=size,
        account_id=actor.account_id,
        attached=attached,
        engine_id=rules.engine_id(app.number, release.version, f"{kind}.{ordinal}", unique),
    )
    if kind == "run":
        audit(actor=actor, action="dyno.run", app=app, detail={"dyno": row.name, "command": command[:500]})
    return row


def start(
    *,
    dyno: Dyno,
    engine: Engine,
    home: Path,
    options: rules.StartOptions = rules.StartOptions(),  # noqa: B008
) -> DynoState:
    """Start the row's dyno on the engine, which ignores a second start of the same id.

    SlugDamagedError, with the row ended, if the slug's files differ from the build: nothing is started.
    ConflictError if the row is no longer wanted: a user has stopped the dyno, or its start was abandoned.
    """
    _check_startable(dyno, home)
    order = spec(dyno=note_endpoint(dyno, engine), home=home, capacity=engine.capacity(), options=options)
    state = engine.start(order)
    Dyno.objects.filter(pk=dyno.pk, state="wanted").update(state="starting", updated_at=clock.now())
    dyno.state = "starting"
    return state


def _check_startable(dyno: Dyno, home: Path) -> None:
    if not touch(dyno):
        raise ConflictError(
            f"{dyno.name} was stopped before it started.",
            hint=f"greenroom run -a {dyno.app.name} -- COMMAND starts another",
        )
    slug = dyno.release.slug
    if slug is not None and not intact(slug, home):
        raise _damaged(dyno, slug, home)


def note_endpoint(dyno: Dyno, engine: Engine) -> Dyno:
    """Return the same row; for a web dyno, store the endpoint for the router."""
    if dyno.kind == "web":
        dyno.endpoint = engine.endpoint(dyno.engine_id)
        Dyno.objects.filter(pk=dyno.pk).update(endpoint=dyno.endpoint)
    return dyno


def touch(dyno: Dyno) -> bool:
    """Mark the start of the dyno as imminent, so that it does not count as abandoned. False if it is no longer
    wanted.
    """
    return bool(Dyno.objects.filter(pk=dyno.pk, state="wanted").update(updated_at=clock.now()))


def _damaged(dyno: Dyno, slug: Slug, home: Path) -> SlugDamagedError:
    """End the row, which has never run, and write the reason to the app's log."""
    error = SlugDamagedError(slug)
    pause = rules.pause_before_restart(dyno.restarts, random.random())  # noqa: S311 - jitter, not a secret
    mark(
        dyno=dyno,
        state="ended",
        healthy=False,
        exit_reason="slug",
        health_detail=error.message[:300],
        finished_at=clock.now(),
        not_before=clock.now() + pause,
    )
    say(
        app=dyno.app,
        home=home,
        process=dyno.name,
        text=f"Error R17 (Checksum error) -> {error.message}",
        source="heroku",
    )
    return error


def mark(*, dyno: Dyno, state: str, **facts: object) -> None:
    """Record an observed state, with health_detail, healthy, exit_code, exit_reason, finished_at.

    An ended dyno does not change, and a stopping one cannot return to starting or up.
    """
    if state == "ended" and dyno.kind in ("run", rules.SCHEDULER):
        PlannedStart.objects.filter(dyno=dyno).delete()
    later = ("ended",) if state in ("stopping", "ended") else ("stopping", "ended")
    if Dyno.objects.filter(pk=dyno.pk).exclude(state__in=later).update(state=state, updated_at=clock.now(), **facts):
        dyno.state = state
    else:
        dyno.state = _state_now(dyno)


def _state_now(dyno: Dyno) -> str:
    """The current state of the row, which another process may have changed; ``ended`` if the row was deleted with its
    app.
    """
    return Dyno.objects.filter(pk=dyno.pk).values_list("state", flat=True).first() or "ended"


def end(*, dyno: Dyno, seen: DynoState | None, home: Path | None = None) -> None:
    """Record the end of the dyno; if it ended on its own, also when to restart it.

    home: Greenroom's home, for the app's log. If the database refused a statement in the dyno's last output, the log
    and the row explain it.
    """
    asked = _state_now(dyno) == "stopping" and dyno.exit_reason != "unhealthy"
    detail = rules.ending(seen.phase, seen.reason, seen.exit_code, seen.detail) if seen else "is unknown to the engine"
    if home is not None and seen is not None and seen.exit_code and not asked:
        detail += _refused(dyno, seen.last_words, home)
    pause = rules.pause_before_restart(dyno.restarts, random.random())  # noqa: S311 - jitter, not a secret
    mark(
        dyno=dyno,
        state="ended",
        healthy=False,
        exit_code=seen.exit_code if seen else None,
        exit_reason=dyno.exit_reason or ("asked" if asked else (seen.reason if seen else "lost") or "exit"),
        health_detail=dyno.health_detail if dyno.exit_reason == "unhealthy" else detail[:300],
        last_words=seen.last_words.replace("\0", "") if seen and not asked else "",
        finished_at=clock.now(),
        not_before=None if asked else clock.now() + pause,
    )


@transaction.atomic
def forget_one_offs(*, ids: Iterable[UUID]) -> None:
    """Delete the rows of one-off dynos of jobs that ended at least an hour ago: the engine has forgotten them."""
    rows = Dyno.objects.filter(pk__in=list(ids), kind=rules.SCHEDULER, state="ended")
    rows.filter(finished_at__lt=clock.now() - timedelta(hours=1)).delete()


HINT = "; hint: "
"""Before the remedy in the detail of an ended dyno; ``greenroom run`` prints what follows."""


def _refused(dyno: Dyno, said: str, home: Path) -> str:
    """Return the statement that the database refused to a failed formation dyno, or the remedy for a feature that the
    database does not have, and log it. Empty if there is none.
    """
    if lacking := diagnosis.remedy(said):
        say(app=dyno.app, home=home, process=dyno.name, text=f"hint: {lacking}")
        return f"{HINT}{lacking}"
    found = diagnosis.refusal(said, dyno.app.name) if dyno.kind in ("web", "worker", rules.SCHEDULER) else None
    if not found:
        return ""
    say(app=dyno.app, home=home, process=dyno.name, text=f"{found.message}\nhint: {found.hint}")
    return f": the database refused `{found.words}`; only a command that a user runs may change the schema"
