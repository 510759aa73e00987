"""Retries a failed build, check or release from the first failed step, with the current config vars.

Releases are immutable: a new release with the same code replaces a failed one, and the delivery continues with it.
"""

from __future__ import annotations

from pathlib import Path

from django.db import transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.apps.actions import lock_app
from greenroom.apps.models import App
from greenroom.basics.errors import ConflictError, UserError
from greenroom.checks import actions as checks
from greenroom.config_vars import queries as config_queries
from greenroom.deliveries import actions, queries
from greenroom.deliveries.actions import held
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.queries import newest_green
from greenroom.releases import actions as releases
from greenroom.releases.models import Release
from greenroom.releases.queries import release_commands


@transaction.atomic
def retry_release(*, actor: Actor, app: App, home: Path, slug: str) -> Release:
    """Release the newest code again; ``slug`` must be its slug. UserError for any other, and for a live release without
    a release command.
    """
    lock_app(app.pk)
    newest = (
        Release.objects.filter(app=app, slug__isnull=False)
        .select_related("slug", "config")
        .order_by("-version")
        .first()
    )
    if newest is None or str(newest.slug_id) != slug:
        raise UserError(
            "Only the newest release can be retried.",
            hint=f"to return to an earlier release: heroku rollback vN -a {app.name}",
        )
    delivery = (
        Delivery.objects.filter(release=newest).select_related("app", "release__slug", "push", "build__slug").first()
    )
    if delivery is not None and newest.status != "succeeded":
        again = retry(actor=actor, delivery=delivery, home=home)
        assert again.release is not None
        return again.release
    if not any(row.kind == "release" for row in release_commands.of_release(newest)):
        raise UserError(
            f"v{newest.version} is live and has no release command to run again.",
            hint=f"to restart its dynos: greenroom ps:restart -a {app.name}",
        )
    row = _again(actor, app, newest, kind="deploy")
    actions.open_for_release(release=row)
    actions.log_by(actor, app, home, actions.created(row))
    return row


@transaction.atomic
def retry(*, actor: Actor, delivery: Delivery, home: Path) -> Delivery:
    """Continue the delivery from the first failed step, or start a held one again. ConflictError if its state does not
    permit it.
    """
    app = lock_app(delivery.app_id)
    delivery = Delivery.objects.select_related("app", "release__slug", "push", "build__slug").get(
        pk=delivery.pk
    )  # reread under the lock
    _refuse(app, delivery)
    who = f"retry by {actor.email}"
    audit(actor=actor, action="delivery.retry", app=app, detail={"sha": delivery.sha, "state": delivery.state})
    if delivery.state == "held":
        held.resume(delivery=delivery, home=home, why=f"R{who[1:]}")
        return Delivery.objects.get(pk=delivery.pk)
    if delivery.release is not None:
        row = _again(actor, app, delivery.release, kind=delivery.release.kind)
        actions.log_by(actor, app, home, f"Retry of v{delivery.release.version}", actions.created(row))
        return actions.carry_on(delivery=delivery, release=row, home=home, why=f"v{row.version}: {who}")
    actions.log_by(actor, app, home, f"Retry of {delivery.sha[:8]}")
    if delivery.build is None or delivery.build.slug is None:
        return actions.carry_on(
            delivery=delivery, release=None, home=home, why=f"Building again: {who}", state="received", build=None
        )
    _check_again(actor, app, delivery)
    return actions.carry_on(delivery=delivery, release=None, home=home, why=f"Checking again: {who}", state="checking")


def _refuse(app: App, delivery: Delivery) -> None:
    """ConflictError unless the delivery has ended without success and no later release has served."""
    name, what = app.name, delivery.sha[:8]
    if delivery.finished_at is None:
        raise ConflictError(
            f"The delivery of {what} is still in progress.", hint=f"greenroom deliveries:wait {what} -a {name}"
        )
    if delivery.state == "live":
        raise ConflictError(
            f"The delivery of {what} is live: there is nothing to retry.",
            hint=f"to restart the dynos: greenroom ps:restart -a {name}",
        )
    if delivery.state == "superseded":
        raise ConflictError(
            f"The delivery of {what} was superseded: {delivery.reason}.", hint=f"greenroom deliveries -a {name}"
        )
    release = delivery.release
    if release is None:
        if queries.live_since(delivery):
            raise ConflictError(f"A newer commit than {what} is live.", hint="push it again on top, or roll back")
        if delivery.push and queries.was_rewritten(delivery.push):
            raise ConflictError(f"The branch no longer contains {what}.", hint="git push greenroom HEAD:master")
        return
    if release.slug is None:
        raise ConflictError(f"The code of v{release.version} has been removed.", hint="git push greenroom HEAD:master")
    later = (
        Release.objects.filter(
            app=app, version__gt=release.version, status__in=("succeeded", "pending"), slug__isnull=False
        )
        .order_by("-version")
        .first()
    )
    if later is not None:
        raise ConflictError(f"v{later.version} is newer than v{release.version}.", hint=f"greenroom releases -a {name}")
    _refuse_unserved(app, delivery, release)


def _refuse_unserved(app: App, delivery: Delivery, release: Release) -> None:
    """ConflictError if code that has never served may not go live now: a pause, or a verdict that is no longer
    green.
    """
    if release.kind == "rollback" or newest_green.served(release):
        return
    if newest_green.paused(app):
        raise ConflictError(
            f"v{release.version} cannot be retried: {newest_green.barred(app, release)}.",
            hint=f"greenroom deploy:resume -a {app.name}",
        )
    barred = newest_green.barred(app, release)
    if barred:
        raise ConflictError(
            f"v{release.version} cannot be retried: {barred}.",
            hint=f"greenroom checks {delivery.sha[:8]} -a {app.name}",
        )


def _again(actor: Actor, app: App, old: Release, *, kind: str) -> Release:
    """Create a release of the same code with the current config vars."""
    config = config_queries.latest(app)
    assert config is not None, "each app has a config version"
    text = (
        f"Retry of v{old.version}:"
        f" {old.description.rpartition(': ')[2] if old.description.startswith('Retry of v') else old.description}"
    )
    return releases.release(actor=actor, app=app, kind=kind, description=text, slug=old.slug, config=config)


def _check_again(actor: Actor, app: App, delivery: Delivery) -> None:
    """Start another attempt of each check that is not green; none if all are green and a platform error ended the
    delivery.
    """
    assert delivery.build is not None
    verdict = checks.judge(app=app, sha=delivery.sha, required=queries.required_checks(app, delivery.build.slug))
    if verdict.colour != "green":
        checks.rerun(app=app, sha=delivery.sha, actor=actor)
    elif newest_green.paused(app):
        raise ConflictError(
            f"{delivery.sha[:8]} is green, but automatic deployment is paused.",
            hint=f"greenroom deploy:resume -a {app.name}",
        )
