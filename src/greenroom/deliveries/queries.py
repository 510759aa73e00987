"""Reads deliveries and builds the facts that decide their next step."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from django.db.models import QuerySet

from greenroom.app_migrations.queries import known_state, migrated_since, of_release
from greenroom.app_migrations.rehearsal.policy import Outlook
from greenroom.app_migrations.rehearsal.queries import outlook, overridden
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.basics.errors import NotFoundError
from greenroom.buildpacks.commands import ReleaseCommand
from greenroom.checks import queries as checks
from greenroom.checks import rules as check_rules
from greenroom.checks.models import Verdict
from greenroom.deliveries import rules
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.rules import Facts, Other, order
from greenroom.dynos import queries as dynos
from greenroom.dynos import rules as dyno_rules
from greenroom.dynos.models import Rollout
from greenroom.git.models import Push
from greenroom.releases import commands as release_commands
from greenroom.releases.queries import gaps

PROBE_PATIENCE = timedelta(seconds=20)


def open_deliveries() -> QuerySet[Delivery]:
    """Deliveries that have not ended, oldest first."""
    rows = Delivery.objects.filter(finished_at=None).order_by("app_id", "seq")
    return rows.select_related(
        "app", "app__owner", "push", "build__slug", "release__slug", "release__config", "account"
    )


def checked_again() -> list[Delivery]:
    """The newest delivery of each commit that has a slug and an unfinished check of Greenroom's own, although its deliveries have all ended."""
    found = []
    for app, sha in checks.unfinished():
        rows = Delivery.objects.filter(app_id=app, sha=sha, kind="push").select_related("app", "push", "build__slug", "account").order_by("-seq")
        newest = rows.first()
        if newest and newest.build and newest.build.slug and not rows.filter(finished_at=None).exists():
            found.append(newest)
    return found


def pushes_without_delivery() -> list[Push]:
    """Recorded pushes of protected branches that no delivery knows of yet."""
    rows = (
        Push.objects.filter(state="recorded", delivery=None).select_related("app", "account").order_by("app_id", "seq")
    )
    return [push for push in rows if push.ref == f"refs/heads/{push.app.protected_branch}" and set(push.after) != {"0"}]


def of_app(app: App) -> QuerySet[Delivery]:
    """The app's deliveries, newest first."""
    return Delivery.objects.filter(app=app).select_related("app", "build", "release", "account").order_by("-seq")


def by_id(app: App, name: str) -> Delivery:
    """The delivery of that id, or the newest of that commit (at least 7 digits of it)."""
    rows = of_app(app)
    found = next((row for row in rows[:500] if str(row.id) == name), None)
    if found is None and len(name) >= 7:
        found = rows.filter(sha__startswith=name.lower()).first()
    if found is None:
        raise NotFoundError(
            f"Couldn't find delivery {name[:60]}.", hint=f"greenroom deliveries -a {app.name}", resource="delivery"
        )
    return found


def of_push(push: Push) -> Delivery | None:
    """The delivery of a push, or None before it is opened."""
    return Delivery.objects.filter(push=push).first()


def was_rewritten(push: Push) -> bool:
    """Whether the branch was moved by force after this push: its commit is no part of it any more, unless it is pushed again."""
    later = Push.objects.filter(app_id=push.app_id, ref=push.ref, seq__gt=push.seq, state="recorded", forced=True)
    return later.exclude(after=push.after).exists()


def rollout_of(delivery: Delivery) -> Rollout | None:
    """The roll-out of the delivery's release, or None before it."""
    if delivery.release_id is None:
        return None
    return (
        Rollout.objects.select_related("app", "release__slug", "release__config")
        .filter(release_id=delivery.release_id)
        .first()
    )


def deployed(app: App) -> Delivery | None:
    """The newest push that has been live."""
    return Delivery.objects.filter(app=app, kind="push", state="live").order_by("-seq").first()


def deployed_sha(app: App) -> str:
    """The commit of the app's repository that serves now, or did before a promotion; empty when there is none."""
    live = dynos.live(app)
    commit = live.release.slug.commit if live and live.release.slug else ""
    if not commit or Push.objects.filter(app=app, after=commit).exists():
        return commit
    newest = deployed(app)  # what serves was promoted, so the app's own repository need not have it
    return newest.sha if newest else ""


def facts(delivery: Delivery, siblings: list[Delivery]) -> Facts:
    """The delivery as the rules take it. ``siblings``: the other open deliveries of the app."""
    rollout = rollout_of(delivery)
    release = delivery.release
    version = release.version if release else None
    newer, pipe, busy = order(delivery.seq, delivery.kind, version, [_other(s) for s in siblings])
    progress = _progress(rollout)
    state = known_state(release) if release else None
    live = dynos.live(delivery.app)
    promoted = bool(release and release.kind == "promote" and not delivery.forced)
    newest = deployed(delivery.app) if delivery.kind == "push" else None
    fresh = bool(state and set(state.pending) - _pending_of_live(live))
    ahead = outlook(release) if release and fresh and live else Outlook()
    return Facts(
        kind=delivery.kind, state=delivery.state, newer_waiting=newer, pipe_busy=pipe, stage_busy=busy,
        overtaken=newest is not None and newest.seq > delivery.seq,
        rewritten=delivery.push is not None and was_rewritten(delivery.push),
        paused=rules.is_paused(delivery.app.deploy_paused, delivery.app.deploy_paused_until, clock.now()),
        build=delivery.build.status if delivery.build else "",
        verdict=_colour(delivery),
        release=release.status if release else "",
        gaps=bool(release and release.slug and release.status == "pending" and gaps(release.slug, release.config)),
        stage=rollout.state if rollout else "",
        ready=progress.ready,
        failure=progress.failure or (rollout.failure if rollout else ""),
        probed=_probed(delivery),
        pending=bool(state and state.pending) if promoted else fresh,
        promoted=promoted,
        lacking=bool(state and state.lacking),
        to_rehearse=ahead.ask,
        rehearsing=ahead.waiting,
        unfit=ahead.unfit,
        serving=live is not None,
        command=_command(delivery) if rollout is None else "",
        postdeploy=bool(rollout and rollout.state == "live" and command_of(delivery, "postdeploy")),
        going_back=bool(release and release.kind == "rollback" and not delivery.forced),
    )  # fmt: skip


def paused(app_id: UUID) -> bool:
    """Whether automatic deployment of the app is paused at this moment."""
    app = App.objects.get(pk=app_id)
    return rules.is_paused(app.deploy_paused, app.deploy_paused_until, clock.now())


def _colour(delivery: Delivery) -> str:
    """What the newest verdict of a push that was built says; empty before there is one."""
    verdict = checks.newest_verdict(delivery.app, delivery.sha) if delivery.kind == "push" and delivery.build_id else None
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
    if rollout is None or rollout.state != "candidate":
        return dyno_rules.Progress()
    return dyno_rules.progress(dynos.facts(rollout, dynos.of_rollout(rollout)))


def _probed(delivery: Delivery) -> bool:
    if delivery.release is None:
        return False
    state = of_release(delivery.release)
    if state is None or state.status != "unknown":
        return True
    return clock.now() - state.updated_at > PROBE_PATIENCE


def _pending_of_live(live: Rollout | None) -> set[str]:
    """What the code that serves has pending as well: it works without, so that is no reason to wait."""
    state = known_state(live.release) if live else None
    return set(state.pending) if state else set()


def _command(delivery: Delivery) -> str:
    if delivery.commands.get("release") == "failed":
        return "failed"
    return "open" if command_of(delivery, "release") else ""


def command_of(delivery: Delivery, kind: str) -> ReleaseCommand | None:
    """The delivery's command of that kind (``release``, ``postdeploy``), also one that is skipped; None when there is none or it has ended."""
    if delivery.release is None or kind in delivery.commands:
        return None
    return next((command for command in release_commands.of_release(delivery.release) if command.kind == kind), None)


def held(app: App) -> Delivery | None:
    """The delivery that waits for a human's migrations."""
    rows = Delivery.objects.filter(app=app, state="held").select_related("app", "release", "account")
    return rows.order_by("-seq").first()


def migrated() -> list[Delivery]:
    """Held deliveries whose release a human has migrated since."""
    rows = Delivery.objects.filter(state="held").select_related("app", "release", "account")
    return [row for row in rows if row.release and row.finished_at and migrated_since(row.release, row.finished_at)]


def let_pass() -> list[Delivery]:
    """Held deliveries whose rehearsal a person has overridden since."""
    rows = Delivery.objects.filter(state="held").select_related("app", "release__slug", "account")
    return [row for row in rows if row.release and row.finished_at and overridden(row.release, since=row.finished_at)]


def as_json(delivery: Delivery) -> dict[str, Any]:
    """The shape of interfaces.md, for scripts."""
    verdict = checks.newest_verdict(delivery.app, delivery.sha) if delivery.sha else None
    state = of_release(delivery.release) if delivery.release else None
    return {
        "id": str(delivery.id),
        "app": {"id": str(delivery.app_id), "name": delivery.app.name},
        "sha": delivery.sha,
        "seq": delivery.seq,
        "kind": delivery.kind,
        "state": delivery.state,
        "reason": delivery.reason,
        "verdict": {"colour": verdict.colour, "reasons": verdict.reasons, "text": _text(delivery.app, verdict)} if verdict else None,
        "checks": [check_json(run, delivery.app) for run in checks.latest(delivery.app, delivery.sha)]
        if delivery.sha
        else [],
        "build": {"id": str(delivery.build.id), "status": delivery.build.status} if delivery.build else None,
        "release": {"version": delivery.release.version} if delivery.release else None,
        "migrations": {"pending": state.pending if state else [], "held": delivery.state == "held"},
        "user": {"email": delivery.account.email if delivery.account else ""},
        "created_at": clock.heroku_time(delivery.created_at),
        "updated_at": clock.heroku_time(delivery.updated_at),
        "finished_at": clock.heroku_time(delivery.finished_at),
    }


def _text(app: App, verdict: Verdict) -> str:
    """The verdict in one paragraph, with what keeps running; empty when it is green."""
    if verdict.colour == "green":
        return ""
    live = dynos.live(app)
    decision = check_rules.Decision(colour=cast(check_rules.Colour, verdict.colour), reasons=tuple(verdict.reasons))
    return check_rules.withheld(decision, serving=f"v{live.release.version}" if live else "")


def check_json(run: Any, app: App) -> dict[str, Any]:
    """A check run as the API and the delivery show it."""
    return {
        "id": str(run.id),
        "name": run.name,
        "sha": run.sha,
        "attempt": run.attempt,
        "status": run.status,
        "conclusion": run.conclusion or None,
        "required": run.name in ("tests", "scan") or run.name in app.required_checks,
        "title": run.title,
        "summary": run.summary,
        "url": run.url or None,
        "started_at": clock.heroku_time(run.started_at),
        "finished_at": clock.heroku_time(run.finished_at),
    }
