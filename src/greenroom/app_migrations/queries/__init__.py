"""Reads the migration state of apps."""

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
    """The migration state of a release, or None before the first probe."""
    return MigrationState.objects.filter(release=release).first()


def states_of(releases: Iterable[UUID]) -> dict[UUID, MigrationState]:
    """Release id -> migration state, for releases that have one."""
    return {row.release_id: row for row in MigrationState.objects.filter(release_id__in=set(releases))}


def known_state(release: Release) -> MigrationState | None:
    """The migration state of a release if its answer is reliable, else None."""
    row = of_release(release)
    return row if row and row.status == "ok" else None


def framework(release: Release) -> str:
    """The migration framework of the release's code; empty for none."""
    slug = release.slug
    return (
        rules.framework_of(is_django=slug.is_django, packages=slug.manifest.get("package_sizes") or ()) if slug else ""
    )


def settled_like(release: Release) -> MigrationState | None:
    """The live release's answer if it also applies to this release: same migrations, packages and config vars, nothing
    open.

    Models may have changed without a migration, so the commit's scan must also have found no such change.
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
    """The migration state of the release that is held for its migrations, else of the live release."""
    rollout = held(app) or live(app)
    return of_release(rollout.release) if rollout else None


def reminder(app: App) -> str:
    """Reminder of pending migrations and other irregularities of the app; empty if there are none or the state is
    unknown.
    """
    state = of_app(app)
    if state is None or state.status != "ok":
        return ""
    return rules.reminder(
        state.pending, held=held(app) is not None, astray=rules.Astray(state.missing, state.conflicts, state.unmade)
    )


def release_for(app: App, command: str) -> Release | None:
    """The held release if the command is about migrations, else None: the live code lacks the pending migrations."""
    rollout = held(app) if rules.is_about_migrations(command) else None
    return rollout.release if rollout else None


def rehearsal_of(release: Release) -> Rehearsal | None:
    """The newest completed rehearsal of the release's present plan; None if there is none."""
    state = of_release(release)  # during a new probe, the last answer is still stored
    row = Rehearsal.objects.filter(release=release, state="done").order_by("-number").first()
    return row if row and state and state.status != "error" and row.pending == state.pending else None


def rehearsals_of(app: App) -> QuerySet[Rehearsal]:
    """The app's rehearsals in any state, newest first."""
    return Rehearsal.objects.filter(app=app).select_related("app", "release", "previous").order_by("-number")


def migrated_since(release: Release, moment: datetime) -> bool:
    """Whether a user's migrate command in this release's code has succeeded since then, or since the release's
    trial.
    """
    return _runs_of_code(release).filter(exit_code=0, finished_at__gt=_tried(release, moment)).exists()


def migrated_code_since(release: Release, moment: datetime) -> bool:
    """Whether the dyno of a migrate command in this release's code has ended since then."""
    return _runs_of_code(release).filter(dyno__finished_at__gt=moment).exists()


def _runs_of_code(release: Release) -> QuerySet[MigrationRun]:
    """The migrate commands in this release or another one of the same code: a config change may have replaced the
    release.
    """
    same = Q(release__slug_id=release.slug_id) if release.slug_id else Q(release=release)
    return MigrationRun.objects.filter(same, app_id=release.app_id)


def _tried(release: Release, moment: datetime) -> datetime:
    """Start of the release's trial on the schema that it was held for at ``moment``. Each later migration counts,
    once.
    """
    since = Rollout.objects.filter(release=release).values_list("updated_at", flat=True).first()
    return min(since, moment) if since else moment


def on_its_way(release: Release, moment: datetime) -> bool:
    """Whether a user's migrate command of this release's code runs, or has succeeded since then and will end the
    hold.
    """
    since = _tried(release, moment)
    return (
        _runs_of_code(release)
        .filter(Q(exit_code=None) | Q(exit_code=0, finished_at=None) | Q(exit_code=0, finished_at__gt=since))
        .exists()
    )


def runs(app: App) -> QuerySet[MigrationRun]:
    """The migrate commands that users ran, newest first."""
    rows = MigrationRun.objects.filter(app=app).select_related("account", "dyno", "release", "snapshot", "rehearsal")
    return rows.order_by("-created_at")


def applied_since(old: Release) -> list[str]:
    """``app.name`` of migrations that users applied with newer code than this release's and have not reversed, in
    order.
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
    """The newest rehearsal, of migrations that then succeeded, that tried this release's code on the new schema."""
    if old.slug_id is None:
        return None
    rows = Rehearsal.objects.filter(
        app_id=old.app_id, state="done", previous__slug_id=old.slug_id, runs__exit_code=0, created_at__gt=old.created_at
    )
    return rows.order_by("-number").first()


def open_probes() -> QuerySet[MigrationState]:
    """Unanswered probes."""
    rows = MigrationState.objects.filter(status="unknown")
    return rows.select_related("app", "release__slug", "release__config")


def open_runs() -> QuerySet[MigrationRun]:
    """Runs without a recorded end."""
    rows = MigrationRun.objects.filter(finished_at=None).select_related("app", "release", "snapshot")
    return rows.select_related("dyno__app", "dyno__release__slug", "dyno__release__config")


def unasked_runs() -> QuerySet[MigrationRun]:
    """Runs that ended recently and whose live release has not been checked yet."""
    since = clock.now() - timedelta(minutes=5)
    return MigrationRun.objects.filter(health="", finished_at__gt=since).select_related("app")


def outdated() -> list[MigrationState]:
    """Answers of live releases older than the end of a one-off dyno, which may have changed the database."""
    ended = Dyno.objects.filter(app=OuterRef("app"), kind="run", state="ended", finished_at__gt=OuterRef("probed_at"))
    rows = MigrationState.objects.filter(release__rollout__state__in=("live", "held")).exclude(status="unknown")
    return list(rows.filter(Exists(ended)).select_related("release"))
