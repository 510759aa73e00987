"""Reads what is known about the migrations of apps."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from greenroom.app_migrations import rules
from greenroom.app_migrations.models import MigrationRun, MigrationState, Rehearsal
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.checks import queries as checks
from greenroom.dynos.models import Dyno, Rollout
from greenroom.dynos.queries import held, live
from greenroom.releases.models import Release


def of_release(release: Release) -> MigrationState | None:
    """The radar's row for a release, or None before the first question."""
    return MigrationState.objects.filter(release=release).first()


def states_of(releases: Iterable[UUID]) -> dict[UUID, MigrationState]:
    """Release -> the radar's row, of those that have one."""
    return {row.release_id: row for row in MigrationState.objects.filter(release_id__in=set(releases))}


def known_state(release: Release) -> MigrationState | None:
    """The radar's row for a release when it holds an answer that can be relied on."""
    row = of_release(release)
    return row if row and row.status == "ok" else None


def framework(release: Release) -> str:
    """The framework of the migrations that the release's code has; empty for none."""
    slug = release.slug
    return (
        rules.framework_of(is_django=slug.is_django, packages=slug.manifest.get("package_sizes") or ()) if slug else ""
    )


def settled_like(release: Release) -> MigrationState | None:
    """The answer of the live release that must be this one's too: the same migrations, packages and config vars, and
    nothing open in it.

    Models may have changed without a migration; only the scan's word for the commit that they have not makes the answer
    the same.
    """
    rollout = live(release.app)
    row = known_state(rollout.release) if rollout else None
    slug, old = release.slug, rollout.release.slug if rollout else None
    if row is None or slug is None or old is None or row.probed_at is None or not slug.migrations_digest:
        return None
    same = slug.migrations_digest == old.migrations_digest and release.config_id == row.release.config_id
    settled = not (row.pending or row.missing or row.lacking or row.conflicts or row.unmade)
    disturbed = (
        open_runs().filter(app_id=release.app_id).exists()
        or Dyno.objects.filter(app_id=release.app_id, kind="run")
        .filter(Q(finished_at=None) | Q(finished_at__gt=row.probed_at))
        .exists()
    )
    scan = checks.latest_of(release.app, slug.commit, "scan")
    return row if same and settled and not disturbed and scan and scan.conclusion == "success" else None


def of_app(app: App) -> MigrationState | None:
    """The radar's row for the release that is held for its migrations, else for what is live now."""
    rollout = held(app) or live(app)
    return of_release(rollout.release) if rollout else None


def reminder(app: App) -> str:
    """A word about pending migrations and what else is astray, for whoever looks at the app; empty when all is well or
    nothing is known.
    """
    state = of_app(app)
    if state is None or state.status != "ok":
        return ""
    return rules.reminder(
        state.pending, held=held(app) is not None, astray=rules.Astray(state.missing, state.conflicts, state.unmade)
    )


def release_for(app: App, command: str) -> Release | None:
    """The held release when the command is about migrations: the live code does not have those that are waited for.
    Else None.
    """
    rollout = held(app) if rules.is_about_migrations(command) else None
    return rollout.release if rollout else None


def rehearsal_of(release: Release) -> Rehearsal | None:
    """The newest rehearsal that is done of this release and of what is pending for it now; None when there is none."""
    state = of_release(release)  # while the radar asks anew, what it knew last is still there
    row = Rehearsal.objects.filter(release=release, state="done").order_by("-number").first()
    return row if row and state and state.status != "error" and row.pending == state.pending else None


def rehearsals_of(app: App) -> QuerySet[Rehearsal]:
    """The app's rehearsals, whatever came of them, newest first."""
    return Rehearsal.objects.filter(app=app).select_related("app", "release", "previous").order_by("-number")


def migrated_since(release: Release, moment: datetime) -> bool:
    """Whether a human's migrate command in this release's code has ended well since then, or while it was tried."""
    return _runs_of_code(release).filter(exit_code=0, finished_at__gt=_tried(release, moment)).exists()


def migrated_code_since(release: Release, moment: datetime) -> bool:
    """Whether the dyno of a migrate in this release's code has ended since then."""
    return _runs_of_code(release).filter(dyno__finished_at__gt=moment).exists()


def _runs_of_code(release: Release) -> QuerySet[MigrationRun]:
    """The migrate commands in this release or in another one of the same code: a config change may have taken its place
    meanwhile.
    """
    same = Q(release__slug_id=release.slug_id) if release.slug_id else Q(release=release)
    return MigrationRun.objects.filter(same, app_id=release.app_id)


def _tried(release: Release, moment: datetime) -> datetime:
    """Since when the release has been tried on the schema that it was held for at ``moment``: what is migrated from
    then on is news, once.
    """
    since = Rollout.objects.filter(release=release).values_list("updated_at", flat=True).first()
    return min(since, moment) if since else moment


def on_its_way(release: Release, moment: datetime) -> bool:
    """Whether a human's migrate of this release's code runs, or has ended well since then, so that the release is held
    no longer once that is seen through.
    """
    since = _tried(release, moment)
    return (
        _runs_of_code(release)
        .filter(Q(exit_code=None) | Q(exit_code=0, finished_at=None) | Q(exit_code=0, finished_at__gt=since))
        .exists()
    )


def runs(app: App) -> QuerySet[MigrationRun]:
    """The migrate commands that humans ran, newest first."""
    rows = MigrationRun.objects.filter(app=app).select_related("account", "dyno", "release", "snapshot", "rehearsal")
    return rows.order_by("-created_at")


def applied_since(old: Release) -> list[str]:
    """``app.name`` of what humans have migrated with newer code than this release's and what is still applied as far as
    the runs tell, in order.
    """
    applied: list[str] = []
    rows = MigrationRun.objects.filter(app_id=old.app_id, created_at__gt=old.created_at, after__isnull=False)
    for run in rows.select_related("release").order_by("created_at"):
        left = set(run.after or ())
        applied = [name for name in applied if name not in left]
        if run.release.version > old.version and run.release.slug_id != old.slug_id:
            applied += [name for name in run.before if name not in left and name not in applied]
    return applied


def rehearsed_after(old: Release) -> Rehearsal | None:
    """The newest rehearsal of migrations that a human then ran well, in which this release's code was tried on the new
    schema.
    """
    if old.slug_id is None:
        return None
    rows = Rehearsal.objects.filter(
        app_id=old.app_id, state="done", previous__slug_id=old.slug_id, runs__exit_code=0, created_at__gt=old.created_at
    )
    return rows.order_by("-number").first()


def open_probes() -> QuerySet[MigrationState]:
    """Rows whose question has not been answered."""
    rows = MigrationState.objects.filter(status="unknown")
    return rows.select_related("app", "release__slug", "release__config")


def open_runs() -> QuerySet[MigrationRun]:
    """Runs that have not ended as far as the rows know."""
    return MigrationRun.objects.filter(finished_at=None).select_related("app", "release", "dyno")


def unasked_runs() -> QuerySet[MigrationRun]:
    """Runs that ended a moment ago and after which nobody has asked the live release yet."""
    since = clock.now() - timedelta(minutes=5)
    return MigrationRun.objects.filter(health="", finished_at__gt=since).select_related("app")


def outdated() -> list[MigrationState]:
    """Answers of live releases that are older than the end of a one-off dyno, which may have changed the database."""
    ended = Dyno.objects.filter(app=OuterRef("app"), kind="run", state="ended", finished_at__gt=OuterRef("probed_at"))
    rows = MigrationState.objects.filter(release__rollout__state__in=("live", "held")).exclude(status="unknown")
    return list(rows.filter(Exists(ended)).select_related("release"))
