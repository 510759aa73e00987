"""Reads deliveries and builds the facts that decide their next step."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, Q, QuerySet, Subquery

from greenroom.app_migrations.queries import known_state, migrated_since, of_release, on_its_way
from greenroom.app_migrations.queries.rehearsals import outlook, overridden
from greenroom.app_migrations.rules.rehearsal_policy import Outlook
from greenroom.apps.models import App
from greenroom.apps.queries import gone
from greenroom.basics import clock
from greenroom.basics.errors import NotFoundError
from greenroom.basics.ids import is_uuid
from greenroom.buildpacks.rules.release_commands import ReleaseCommand
from greenroom.checks import queries as checks
from greenroom.checks import rules as check_rules
from greenroom.deliveries import rules
from greenroom.deliveries.drivers import transcript
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.queries import boot_failure
from greenroom.deliveries.queries.time_limits import watch_seconds
from greenroom.deliveries.rules import Facts, Other, order
from greenroom.dynos import queries as dynos
from greenroom.dynos import rules as dyno_rules
from greenroom.dynos.models import Dyno, Rollout
from greenroom.git.models import Push
from greenroom.releases.models import Release
from greenroom.releases.queries import gaps, release_commands
from greenroom.slugs.models import Slug

PROBE_PATIENCE = timedelta(seconds=20)


def open_deliveries() -> QuerySet[Delivery]:
    """Deliveries that have not ended, oldest first."""
    rows = Delivery.objects.filter(finished_at=None).order_by("app_id", "seq")
    return rows.select_related(
        "app", "app__owner", "push", "build__slug", "release__slug", "release__config", "account"
    )


def reload(delivery: Delivery, others: list[Delivery]) -> bool:
    """Reload the rows of an app's open deliveries, since another worker may have changed them. False if this one has
    ended.
    """
    rows = {row.pk: row for row in open_deliveries().filter(app_id=delivery.app_id)}
    for known in (delivery, *others):
        fresh = rows.get(known.pk)
        if fresh is None:
            known.refresh_from_db(fields=["state", "finished_at"])
        else:
            known.__dict__.update(fresh.__dict__)
    return delivery.pk in rows


def first_states() -> dict[object, str]:
    """App id -> state of its newest delivery, for apps without a live release."""
    newest = Delivery.objects.filter(app=OuterRef("pk")).order_by("-seq").values("state")[:1]
    rows = App.objects.exclude(rollouts__state="live").annotate(newest=Subquery(newest)).exclude(newest=None)
    return dict(rows.values_list("pk", "newest"))


def checked_again() -> list[Delivery]:
    """The newest delivery of each commit that has a slug and an unfinished builtin check, although all its deliveries
    have ended.
    """
    found = []
    for app, sha in checks.unfinished():
        rows = (
            Delivery.objects.filter(app_id=app, sha=sha, kind="push")
            .select_related("app", "push", "build__slug", "account")
            .order_by("-seq")
        )
        newest = rows.first()
        if newest and newest.build and newest.build.slug and not rows.filter(finished_at=None).exists():
            found.append(newest)
    return found


def pushes_without_delivery() -> list[Push]:
    """Recorded pushes to protected branches that have no delivery yet."""
    rows = (
        Push.objects.filter(state="recorded", delivery=None).select_related("app", "account").order_by("app_id", "seq")
    )
    return [push for push in rows if push.ref == f"refs/heads/{push.app.protected_branch}" and set(push.after) != {"0"}]


def of_app(app: App) -> QuerySet[Delivery]:
    """The app's deliveries, newest first."""
    return (
        Delivery.objects.filter(app=app)
        .select_related("app", "build__slug", "release__slug", "account")
        .order_by("-seq")
    )


def by_id(app: App, name: str) -> Delivery:
    """The delivery with that id, or the newest one of that commit (at least 7 digits)."""
    rows = of_app(app)
    found = rows.filter(pk=name).first() if is_uuid(name) else None
    if found is None and len(name) >= 7:
        found = rows.filter(sha__startswith=name.lower()).first()
    if found is None:
        raise NotFoundError(
            f"Couldn't find delivery {name[:60]}.", hint=f"greenroom deliveries -a {app.name}", resource="delivery"
        )
    return found


def output_of(delivery: Delivery, home: Path) -> str:
    """The delivery's transcript so far, at most 16 MiB; empty if there is none."""
    return transcript.read(home / delivery.transcript)


def was_rewritten(push: Push) -> bool:
    """Whether a force push has removed this push's commit from the branch, and no later push has restored it."""
    later = Push.objects.filter(app_id=push.app_id, ref=push.ref, seq__gt=push.seq, state="recorded", forced=True)
    return later.exclude(after=push.after).exists()


def rollout_of(delivery: Delivery) -> Rollout | None:
    """The roll-out of the delivery's release; None before it starts."""
    if delivery.release_id is None:
        return None
    return (
        Rollout.objects.select_related("app", "release__slug", "release__config")
        .filter(release_id=delivery.release_id)
        .first()
    )


def to_go_back_to(rollout: Rollout) -> Rollout | None:
    """The live roll-out with a healthy web dyno, which gets the traffic back if ``rollout`` fails its trial. None if
    there is none, or if ``rollout`` has no web dynos to watch.
    """
    live = dynos.live(rollout.app)
    if live is None or not dynos.wanted(rollout.app, rollout.release).get("web"):
        return None
    up = Dyno.objects.filter(release_id=live.release_id, kind="web", state="up", healthy=True)
    return live if up.exists() else None


def deployed(app: App) -> Delivery | None:
    """The newest push that has been live."""
    return Delivery.objects.filter(app=app, kind="push", state="live").order_by("-seq").first()


def live_since(row: Delivery) -> bool:
    """Whether a newer push of the app than this delivery's is live, directly or by a config change."""
    live = dynos.live(row.app)
    slug = live.release.slug_id if live else None
    newer = Delivery.objects.filter(app_id=row.app_id, kind="push", seq__gt=row.seq)
    return newer.filter(Q(state="live") | Q(build__slug_id=slug, build__slug_id__isnull=False)).exists()


def deployed_sha(app: App) -> str:
    """The app's own commit that serves now, or that served before a promotion; empty if there is none."""
    live = dynos.live(app)
    commit = live.release.slug.commit if live and live.release.slug else ""
    if not commit or Push.objects.filter(app=app, after=commit).exists():
        return commit
    newest = deployed(app)  # a promotion serves, whose commit the app's repository may lack
    return newest.sha if newest else ""


def facts(delivery: Delivery, siblings: list[Delivery]) -> Facts:
    """Build the facts for the rules. ``siblings``: the other open deliveries of the app."""
    rollout = rollout_of(delivery)
    release = delivery.release
    return Facts(
        kind=delivery.kind,
        state=delivery.state,
        overtaken=delivery.kind == "push" and release is None and live_since(delivery),
        rewritten=delivery.push is not None and was_rewritten(delivery.push),
        paused=rules.is_paused(delivery.app.deploy_paused, delivery.app.deploy_paused_until, clock.now()),
        build=delivery.build.status if delivery.build else "",
        verdict=_colour(delivery),
        release=release.status if release else "",
        gaps=bool(release and release.slug and release.status == "pending" and gaps(release.slug, release.config)),
        stage=rollout.state if rollout else "",
        steady=_steady(rollout),
        probed=_probed(delivery),
        command=_command(delivery) if rollout is None else "",
        postdeploy=bool(rollout and rollout.state == "live" and command_of(delivery, "postdeploy")),
        going_back=bool(release and release.kind == "rollback" and not delivery.forced),
        **_queue_facts(delivery, siblings, rollout),
        **_schema_facts(delivery, rollout),
    )


def _queue_facts(delivery: Delivery, siblings: list[Delivery], rollout: Rollout | None) -> dict[str, Any]:
    """The app's other open deliveries that this one waits for or is superseded by."""
    release = delivery.release
    version = release.version if release else None
    others = [_other(sibling) for sibling in siblings]
    newer, pipe, busy = order(delivery.seq, delivery.kind, version, others)
    waiting = rollout is None and delivery.state == rules.WAITING
    merges = release is not None and waiting and release.kind in ("config", "addon")
    replaced = merges and rules.replaced(version or 0, others)
    return {"newer_waiting": newer, "pipe_busy": pipe, "stage_busy": busy, "replaced": replaced}


def _schema_facts(delivery: Delivery, rollout: Rollout | None) -> dict[str, Any]:
    """The progress of the roll-out, and the pending migrations of its release."""
    release = delivery.release
    state = known_state(release) if release else None
    live = dynos.live(delivery.app)
    promoted = bool(release and _promotes(release) and not delivery.forced)
    fresh = bool(state and set(state.pending) - _pending_of_live(live))
    ahead = outlook(release) if release and fresh and live else Outlook()
    progress = _progress(rollout)
    failure = _failure(rollout, progress)
    return {
        "ready": progress.ready,
        "failure": failure,
        "cause": boot_failure.of(release, failure).cause if release and failure and state and state.pending else "",
        "pending": bool(state and state.pending) if promoted else fresh,
        "promoted": promoted,
        "lacking": bool(state and state.lacking),
        "to_rehearse": ahead.ask,
        "rehearsing": ahead.waiting,
        "unfit": ahead.unfit,
        "serving": live is not None,
    }


def _promotes(release: Release) -> bool:
    """Whether the release is a promotion, or a config change of promoted code that has not been live yet."""
    if release.kind not in ("config", "addon"):
        return release.kind == "promote"
    rows = Release.objects.filter(app_id=release.app_id, slug=release.slug, version__lt=release.version)
    return rows.filter(kind="promote").exists() and not rows.filter(status="succeeded").exists()


def required_checks(app: App, slug: Slug | None) -> tuple[str, ...]:
    """The checks that must be green at the gate: all required ones except the rehearsal, which is awaited later."""
    return tuple(name for name in _required(app, slug) if check_rules.key(name) != check_rules.REHEARSAL)


def _required(app: App, slug: Slug | None) -> tuple[str, ...]:
    """The builtin checks, the app's, and those of the commit's greenroom.toml."""
    own = (slug.settings.get("required_checks") or []) if slug else []
    return check_rules.required_names([*app.required_checks, *own])


def paused(app_id: UUID) -> bool:
    """Whether automatic deployment of the app is paused."""
    app = App.objects.filter(pk=app_id).first()
    if app is None:
        raise gone()
    return rules.is_paused(app.deploy_paused, app.deploy_paused_until, clock.now())


def _colour(delivery: Delivery) -> str:
    """The colour of the newest verdict of a built push; empty if there is none."""
    verdict = (
        checks.newest_verdict(delivery.app, delivery.sha) if delivery.kind == "push" and delivery.build_id else None
    )
    return verdict.colour if verdict else ""


def _other(delivery: Delivery) -> Other:
    rollout = rollout_of(delivery)
    return Other(
        seq=delivery.seq,
        kind=delivery.kind,
        state=delivery.state,
        version=delivery.release.version if delivery.release else None,
        stage=rollout.state if rollout else "",
    )


def _progress(rollout: Rollout | None) -> dyno_rules.Progress:
    if rollout is None or rollout.state not in ("candidate", "watched"):
        return dyno_rules.Progress()
    return dyno_rules.progress(dynos.facts(rollout, dynos.of_rollout(rollout)))


def _failure(rollout: Rollout | None, progress: dyno_rules.Progress) -> str:
    """Why the roll-out failed. Also empty while the failed dyno of a candidate stops, since its last output explains
    the failure.
    """
    if rollout is None or (
        rollout.state == "candidate" and progress.failure and boot_failure.is_ending(rollout.release)
    ):
        return ""
    return progress.failure or rollout.failure


def _steady(rollout: Rollout | None) -> bool:
    """Whether the trial of a release with the traffic has lasted long enough."""
    if rollout is None or rollout.switched_at is None:
        return False
    slug = rollout.release.slug
    return (clock.now() - rollout.switched_at).total_seconds() >= watch_seconds(slug.settings if slug else {})


def _probed(delivery: Delivery) -> bool:
    if delivery.release is None:
        return False
    state = of_release(delivery.release)
    if state is None or state.status != "unknown":
        return True
    return clock.now() - state.updated_at > PROBE_PATIENCE


def _pending_of_live(live: Rollout | None) -> set[str]:
    """Migrations that are also pending for the live code. It works without them, so the release need not wait
    for them.
    """
    state = known_state(live.release) if live else None
    return set(state.pending) if state else set()


def _command(delivery: Delivery) -> str:
    if delivery.commands.get("release") == "failed":
        return "failed"
    return "open" if command_of(delivery, "release") else ""


def command_of(delivery: Delivery, kind: str) -> ReleaseCommand | None:
    """The delivery's command of that kind (``release``, ``postdeploy``), even if it is skipped; None if there is none
    or it has ended.
    """
    if delivery.release is None or kind in delivery.commands:
        return None
    return next((command for command in release_commands.of_release(delivery.release) if command.kind == kind), None)


def held(app: App) -> Delivery | None:
    """The delivery that is held for migrations."""
    rows = Delivery.objects.filter(app=app, state="held").select_related("app", "release", "account")
    return rows.order_by("-seq").first()


def migrated() -> list[Delivery]:
    """Held deliveries whose release a user has migrated since."""
    rows = Delivery.objects.filter(state="held").select_related("app", "release", "account")
    return [row for row in rows if row.release and row.finished_at and migrated_since(row.release, row.finished_at)]


def let_pass() -> list[Delivery]:
    """Held deliveries whose rehearsal a user has overridden since."""
    rows = Delivery.objects.filter(state="held").select_related("app", "release__slug", "account")
    return [row for row in rows if row.release and row.finished_at and overridden(row.release, since=row.finished_at)]


def state_of(delivery: Delivery) -> str:
    """The state for clients. A held release counts as in progress from the start of its migrate until the migrate
    fails.

    Derived from the run's row, which is written before its dyno starts, so ``migrate && deliveries:wait`` never reads
    the earlier state.
    """
    if delivery.state != "held" or delivery.release is None or delivery.finished_at is None:
        return delivery.state
    return "rolling_out" if on_its_way(delivery.release, delivery.finished_at) else "held"


def required_keys(app: App, slug: Slug | None) -> frozenset[str]:
    """All required checks, including the rehearsal, as case-insensitive keys."""
    return frozenset(map(check_rules.key, _required(app, slug)))


def required_of(app: App, sha: str) -> frozenset[str]:
    """The keys of the checks that a commit needs before it takes traffic, including those of its greenroom.toml."""
    newest = (
        Delivery.objects.filter(app=app, sha=sha, build__slug__isnull=False)
        .select_related("build__slug")
        .order_by("-seq")
        .first()
    )
    return required_keys(app, newest.build.slug if newest and newest.build else None)
