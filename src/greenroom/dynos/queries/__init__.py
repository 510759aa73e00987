"""Reads formations, roll-outs and dynos, and builds the facts for the rules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet

from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.basics.errors import NotFoundError
from greenroom.basics.ids import is_uuid
from greenroom.dynos.models import Dyno, Formation, Rollout
from greenroom.dynos.rules import Facts, Seen, quantities
from greenroom.releases.models import Release

ALIVE = ("wanted", "starting", "up", "stopping")
NEVER_STARTED = ("snapshot", "start", "slug", "asked")
"""Reasons for the end of a one-off dyno that may never have started; ``health_detail`` has the text."""


def is_of_a_leaver(dyno: Dyno) -> bool:
    """Whether the dyno is attached for an account that was disabled. Reads no further row if ``account`` is loaded."""
    return dyno.attached and dyno.account is not None and not dyno.account.is_active


def live(app: App) -> Rollout | None:
    """The live roll-out."""
    return Rollout.objects.select_related("release__slug", "release__config").filter(app=app, state="live").first()


def live_version(app: App) -> int | None:
    """The version of the live release."""
    rollout = live(app)
    return rollout.release.version if rollout else None


def watched(app: App) -> Rollout | None:
    """The roll-out that has the traffic on trial."""
    return Rollout.objects.select_related("release__slug", "release__config").filter(app=app, state="watched").first()


def held(app: App) -> Rollout | None:
    """The roll-out that is held for migrations."""
    return Rollout.objects.select_related("release__slug", "release__config").filter(app=app, state="held").first()


def count_since_before(app: App, moment: datetime | None) -> int:
    """The number of running dynos that were created before a moment and stay: one-off dynos, and those of the live
    release unless a watched one is about to replace them.
    """
    if moment is None:
        return 0
    rows = Dyno.objects.filter(app=app, state__in=("starting", "up"), created_at__lt=moment)
    one_off, staying = ~Q(kind__in=("web", "worker")), Q(release__rollout__state="live")
    return rows.filter(one_off if watched(app) else one_off | staying).count()


def active_rollouts() -> QuerySet[Rollout]:
    """Active roll-outs, and retired ones that still have dynos."""
    rows = Rollout.objects.select_related("app", "release__slug", "release__config")
    return rows.filter(state__in=("candidate", "watched", "live")) | rows.filter(
        state__in=("held", "retired"), release__dynos__state__in=ALIVE, release__dynos__kind__in=("web", "worker")
    )


def formation(app: App) -> dict[str, Formation]:
    """The app's formation by type."""
    return {row.type: row for row in Formation.objects.filter(app=app)}


def sends_to_https(rollout: Rollout) -> bool:
    """Whether a web dyno of the roll-out redirects visitors to HTTPS."""
    return Dyno.objects.filter(release_id=rollout.release_id, kind="web", healthy=True, https=True).exists()


def process_types(release: Release | None) -> dict[str, str]:
    """type -> command of a release's Procfile."""
    return dict(release.slug.process_types) if release and release.slug else {}


def wanted(app: App, release: Release) -> dict[str, int]:
    """The desired number of dynos of each type for this release."""
    return quantities({t: row.quantity for t, row in formation(app).items()}, process_types(release))


def of_rollout(rollout: Rollout) -> list[Dyno]:
    """The formation dynos of a roll-out, including ended ones of the newest generations."""
    rows = Dyno.objects.filter(release_id=rollout.release_id, kind__in=("web", "worker"))
    alive = list(rows.filter(state__in=ALIVE))
    ended = (
        rows.filter(state="ended").order_by("type", "ordinal", "-generation", "-created_at").distinct("type", "ordinal")
    )
    return [*alive, *ended]


def facts(rollout: Rollout, dynos: list[Dyno]) -> Facts:
    """Build the facts of the roll-out for the rules."""
    return Facts(
        stage=rollout.state,
        wanted=wanted(rollout.app, rollout.release),
        seen=[_seen(dyno) for dyno in dynos],
        restart_seq=rollout.restart_seq,
        now=clock.now(),
    )


def _seen(dyno: Dyno) -> Seen:
    return Seen(
        key=str(dyno.id),
        type=dyno.type,
        ordinal=dyno.ordinal,
        state=dyno.state,
        generation=dyno.generation,
        restarts=dyno.restarts,
        healthy=dyno.healthy,
        leaving=dyno.leaving,
        crashed=dyno.state == "ended" and dyno.exit_reason != "asked",
        restart_at=dyno.not_before,
        detail=dyno.health_detail,
        lost=dyno.exit_reason == "lost",
    )


def by_name(app: App, name: str) -> Dyno:
    """The newest dyno with that name (``run.4821``) or id."""
    rows = Dyno.objects.select_related("app", "release", "account").filter(app=app).order_by("-created_at")
    kind, _, number = name.rpartition(".")
    found = rows.filter(type=kind, ordinal=int(number)).first() if number.isdecimal() and len(number) < 9 else None
    found = found or (rows.filter(pk=name).first() if is_uuid(name) else None)
    if found is None:
        raise NotFoundError(f"Couldn't find dyno {name[:60]}.", hint=f"greenroom ps -a {app.name}", resource="dyno")
    return found


def serving_rollouts() -> dict[UUID, Rollout]:
    """App -> the roll-out that has the traffic: the one on trial, else the live one."""
    rows = Rollout.objects.select_related("app", "release__slug", "release__config").filter(
        state__in=("live", "watched")
    )
    return {row.app_id: row for row in sorted(rows, key=lambda row: row.state == "watched")}


def watched_rollouts() -> QuerySet[Rollout]:
    """The roll-outs of all apps that have the traffic on trial."""
    return Rollout.objects.select_related("app", "release__slug", "release__config").filter(state="watched")


def standings(apps: Iterable[App]) -> dict[UUID, tuple[str, int | None]]:
    """App -> (``held``, ``crashed``, ``live`` or ``none``, the live version), with two queries for all apps."""
    rows = Rollout.objects.filter(app__in=list(apps), state__in=("live", "held")).values_list(
        "app_id", "state", "release__version"
    )
    serving = {app: version for app, state, version in rows if state == "live"}
    held = {app for app, state, _ in rows if state == "held"}
    web = Dyno.objects.filter(
        app__in=list(serving), kind="web", release__rollout__state="live", state__in=("wanted", "starting", "up")
    )
    crashed = set(web.filter(restarts__gt=0).exclude(state="up").values_list("app_id", flat=True))
    found = {app: ("crashed" if app in crashed else "live", version) for app, version in serving.items()}
    return found | {app: ("held", serving.get(app)) for app in held}


def unanswered() -> list[Dyno]:
    """Started web dynos that have not passed the health gate yet."""
    rows = Dyno.objects.filter(kind="web", state="starting").select_related("app", "release__slug")
    return list(rows)


@dataclass(frozen=True)
class Unstarted:
    """A one-off dyno that the engine does not know. planned: the worker will start it; refusal: why it never will."""

    planned: bool = False
    refusal: str = ""


def unstarted(engine_id: str) -> Unstarted:
    """Whether a one-off dyno is still to be started, or has ended without a start."""
    dyno = Dyno.objects.filter(engine_id=engine_id, kind="run").select_related("planned_start").first()
    if dyno is None:
        return Unstarted()
    if dyno.state in ("wanted", "starting"):
        return Unstarted(planned=hasattr(dyno, "planned_start"))
    given_up = dyno.state == "ended" and dyno.exit_reason in NEVER_STARTED
    return Unstarted(refusal=dyno.health_detail if given_up else "")
