"""Opens deliveries and changes their state: for pushes, config changes, rollbacks and add-ons."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from django.db import transaction
from django.db.models import Max, QuerySet

from greenroom.accounts.models import Account
from greenroom.accounts.queries import actor_of
from greenroom.accounts.rules import PLATFORM, Actor
from greenroom.addons import queries as addons
from greenroom.addons import rules as addon_rules
from greenroom.addons.rules import services as addon_services
from greenroom.addons.rules.access import BUILD
from greenroom.apps import actions as apps
from greenroom.apps.actions import egress
from greenroom.apps.actions.worker import wake
from greenroom.apps.models import App
from greenroom.basics import clock, ids
from greenroom.basics.errors import ConflictError, NotFoundError, UserError
from greenroom.config_vars import actions as config_vars
from greenroom.config_vars import queries as config_queries
from greenroom.config_vars import rules as config_rules
from greenroom.config_vars.models import ConfigVersion
from greenroom.deliveries import queries
from greenroom.deliveries.drivers import transcript
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.queries import newest_green
from greenroom.deliveries.rules import ENDED
from greenroom.git.models import Push
from greenroom.logs.actions import say
from greenroom.releases import actions as releases
from greenroom.releases import queries as release_queries
from greenroom.releases.models import Release
from greenroom.slugs import actions as slugs
from greenroom.slugs.models import Slug

log = logging.getLogger(__name__)
PAUSED = "automatic deployment is paused"


@transaction.atomic
def open_for_push(*, push: Push) -> Delivery:
    """Return the delivery of a push. Idempotent: one per push, also if web and worker call it concurrently."""
    apps.lock_app(push.app_id)
    found = Delivery.objects.filter(push=push).first()
    if found:
        return found
    return _open(app=push.app, kind="push", push=push, sha=push.after, account=push.account)


@transaction.atomic
def open_for_release(*, release: Release, forced: bool = False) -> Delivery | None:
    """Open the delivery of a release that did not come from a push; None if it has no dynos to start."""
    apps.lock_app(release.app_id)
    found = Delivery.objects.filter(release=release).first()
    if found or release.slug is None:
        return found
    return _open(
        app=release.app,
        kind="release",
        release=release,
        sha=release.slug.commit,
        account=release.account,
        forced=forced,
    )


def _open(
    *,
    app: App,
    kind: str,
    sha: str,
    account: Account | None,
    push: Push | None = None,
    release: Release | None = None,
    forced: bool = False,
) -> Delivery:
    apps.lock_app(app.pk)
    top = Delivery.objects.filter(app=app).aggregate(top=Max("seq"))["top"] or 0
    row = Delivery.objects.create(
        app=app, seq=top + 1, kind=kind, sha=sha, account=account, push=push, release=release, forced=forced
    )
    wake()
    return row


@transaction.atomic
def change_config(*, actor: Actor, app: App, home: Path, updates: dict[str, str | None]) -> Release | None:
    """Set and remove config vars as one release; None if nothing changes. UserError for a config var that belongs to an
    attachment.
    """
    apps.lock_app(app.pk)
    _refuse_attached(app, home, updates)
    changed = config_vars.change(actor=actor, app=app, home=home, updates=updates)
    return _release_config(actor, app, home, changed[0], changed[1].describes) if changed else None


@transaction.atomic
def change_egress(
    *, actor: Actor, app: App, home: Path, policy: str | None, allow: Sequence[str], remove: Sequence[str]
) -> Release | None:
    """Change the app's egress, and replace its dynos by those of a new release if they notice it. None if not."""
    apps.lock_app(app.pk)
    changed = egress.change(actor=actor, app=app, policy=policy, allow=allow, remove=remove)
    if not changed.reaches_dynos:
        return None
    config = config_queries.latest(app)
    assert config is not None, "each app has a config version"
    return _release_config(actor, app, home, config, changed.describes)


def _refuse_attached(app: App, home: Path, updates: dict[str, str | None]) -> None:
    """Raise UserError for a config var of an attachment, unless the new value equals the current one."""
    owned, urls = addons.owned(app), addons.values_of(app, home)
    wrong = sorted(key for key in updates if key in owned and (updates[key] is None or updates[key] != urls.get(key)))
    if wrong:
        row = owned[wrong[0]]
        text, hint = addon_rules.overwriting(
            wrong, name=row.name, addon=row.addon.name, service=addons.service_of(row.addon), app=app.name
        )
        raise UserError(text, hint=hint)


@transaction.atomic
def attach_config(*, actor: Actor, app: App, home: Path, values: dict[str, str], description: str) -> Release | None:
    """Set the config vars of an add-on, as a release of kind ``addon``."""
    changed = config_vars.change(actor=actor, app=app, home=home, updates={**values}, platform=True)
    return _release_config(actor, app, home, changed[0], description, kind="addon") if changed else None


def _release_config(
    actor: Actor, app: App, home: Path, version: ConfigVersion, text: str, kind: str = "config"
) -> Release:
    """Release the newest code that passed the gate. Code that has never served continues in its own delivery."""
    kept = newest_green.newest(app)
    row = releases.release(
        actor=actor,
        app=app,
        kind=kind,
        description=kept.describe(text) if kept else text,
        slug=kept.release.slug if kept else None,
        config=version,
    )
    before = (
        Delivery.objects.filter(release=kept.release).first() if kept and kept.release.status != "succeeded" else None
    )
    if (
        kept
        and before
        and before.state in ("failed", "refused")
        and (before.kind == "push" or kept.release.kind == "promote")
    ):
        carry_on(delivery=before, release=row, home=home, why=f"v{row.version}: {row.description}")
    else:
        open_for_release(release=row, forced=bool(before and before.forced))
    log_by(actor, app, home, text, created(row))
    return row


@transaction.atomic
def carry_on(
    *, delivery: Delivery, release: Release | None, home: Path, why: str, state: str = "releasing", **columns: object
) -> Delivery:
    """Reopen an ended delivery, with another release of its code or from an earlier step. Appends to its transcript."""
    row = Delivery.objects.select_for_update(no_key=True).get(pk=delivery.pk)
    row.release, row.state, row.reason, row.finished_at = release, state, "", None
    row.said, row.commands = {}, {}
    for name, value in columns.items():
        setattr(row, name, value)
    row.save()
    transcript.reopen(home / row.transcript)
    transcript.append(home / row.transcript, f"-----> {why}")
    wake()
    return row


def created(release: Release) -> str:
    """Heroku's text for a new release in the app's log."""
    return f"Release v{release.version} created"


def log_by(actor: Actor, app: App, home: Path, *texts: str) -> None:
    """Write lines to the app's log in Heroku's format, ``app[api]: Set FOO config vars by user E-MAIL``, when this
    transaction commits.
    """

    def write() -> None:
        for text in texts:
            say(app=app, home=home, process="api", text=f"{text} by user {actor.email}", source="app")

    transaction.on_commit(write)


@transaction.atomic
def promote(*, actor: Actor, app: App, home: Path, slug: Slug, description: str, force: bool = False) -> Release:
    """Release code that was built for another app, with this app's config vars. Follows the same steps as a rollback.

    force: also if migrations of the code are pending on the app's database.
    """
    apps.lock_app(app.pk)
    own = slugs.adopt(slug=slug, app=app)
    fill_config(actor=actor, app=app, slug=own, home=home)
    config = config_queries.latest(app)
    assert config is not None, "each app has a config version"
    row = releases.release(actor=actor, app=app, kind="promote", description=description, slug=own, config=config)
    open_for_release(release=row, forced=force)
    log_by(actor, app, home, row.description, created(row))
    return row


@transaction.atomic
def advance(*, delivery: Delivery, state: str, reason: str = "", home: Path, **columns: object) -> Delivery:
    """Save the delivery's new state. A final state also sets the end time and closes the transcript."""
    row = Delivery.objects.select_for_update(no_key=True).get(pk=delivery.pk)
    row.state = state
    row.reason = reason or row.reason
    for name, value in columns.items():
        setattr(row, name, value)
    if state in ENDED:
        row.finished_at = clock.now()
    row.save()
    wake()
    if state in ENDED:
        transaction.on_commit(lambda: transcript.close(home / row.transcript), robust=True)
    for name in ("state", "reason", "finished_at", *columns):
        setattr(delivery, name, getattr(row, name))
    return delivery


def say_once(*, delivery: Delivery, key: str, text: str, home: Path) -> None:
    """Add lines to the transcript, once per key. The row records the key; a crash in between may repeat a line, but
    never loses one.
    """
    if key in delivery.said:
        return
    transcript.append(home / delivery.transcript, text)
    delivery.said = {**delivery.said, key: True}
    Delivery.objects.filter(pk=delivery.pk).update(said=delivery.said)


def note_command(*, delivery: Delivery, kind: str, outcome: str | int) -> None:
    """Record the outcome of a release command (``ok``, ``failed``) or the number of its current attempt."""
    delivery.commands = {**delivery.commands, kind: outcome}
    Delivery.objects.filter(pk=delivery.pk).update(commands=delivery.commands)


@transaction.atomic
def reopen(*, app: App, sha: str, home: Path) -> Delivery | None:
    """Reopen the gate for a withheld commit after a re-run or an override. None if its delivery is not withheld."""
    apps.lock_apps([app.pk])
    row = (
        Delivery.objects.select_for_update(no_key=True)
        .filter(app=app, sha=sha, kind="push", state="refused", release=None)
        .order_by("-seq")
        .first()
    )
    if row is None:
        return None
    if queries.live_since(row):
        raise ConflictError(f"A newer commit than {sha[:8]} is live.", hint="push it again on top, or roll back")
    row.state, row.finished_at, row.reason, row.said = "checking" if row.build_id else "received", None, "", {}
    row.save()
    transcript.reopen(home / row.transcript)
    wake()
    return row


@transaction.atomic
def resume(*, actor: Actor, app: App, home: Path) -> Delivery | None:
    """Resume automatic deployment. The gate judges the newest push again if only the pause withheld it."""
    apps.change_settings(actor=actor, app=app, deploy_paused="", deploy_paused_until=None)
    newest = Delivery.objects.filter(app=app, kind="push").order_by("-seq").first()
    if newest is None or not newest.reason.startswith(PAUSED):
        return None
    return reopen(app=app, sha=newest.sha, home=home)


def end_pauses(*, home: Path) -> list[App]:
    """Resume the apps whose pause has expired. Repeatable; does not deploy a withheld commit that a newer release has
    overtaken.
    """
    due = App.objects.exclude(deploy_paused="").filter(deploy_paused_until__lte=clock.now())
    ended = []
    for app in list(due):
        try:
            if _end_pause(due, app, home):
                ended.append(app)
        except Exception:  # an error in one app must not stop the others
            log.exception("the pause of %s could not be ended", app.name)
    return ended


@transaction.atomic
def _end_pause(due: QuerySet[App], app: App, home: Path) -> bool:
    """End the pause, unless a user has extended it meanwhile."""
    if not due.select_for_update(no_key=True).filter(pk=app.pk).exists():
        return False
    try:
        with transaction.atomic():
            resume(actor=PLATFORM, app=app, home=home)
    except ConflictError:
        apps.change_settings(actor=PLATFORM, app=app, deploy_paused="", deploy_paused_until=None)
    return True


@transaction.atomic
def create_app(*, actor: Actor, name: str | None, home: Path, bare: bool = False) -> App:
    """Create an app with its first release: v1 ``Initial release``, without code."""
    app = apps.create(actor=actor, name=name, bare=bare)
    config = config_vars.write(app=app, home=home, values={}, actor=actor)
    releases.release(actor=actor, app=app, kind="initial", description="Initial release", slug=None, config=config)
    wake()
    return app


def account_actor(delivery: Delivery) -> Actor:
    """The actor to record for the platform's own actions during a delivery."""
    return actor_of(delivery.account) if delivery.account else PLATFORM


def config_of(app: App, home: Path) -> dict[str, str]:
    """The app's current config vars in clear text, for the build steps that may read them. Database credentials are
    read-only.
    """
    latest = config_queries.latest(app)
    return addons.environment(config_queries.values(latest, home), app=app, home=home, access=BUILD) if latest else {}


def fill_config(*, actor: Actor, app: App, slug: Slug, home: Path) -> None:
    """Set the defaults of app.json (values, generated secrets) for keys that were never set, as part of the next
    release.
    """
    ever = {name for names in ConfigVersion.objects.filter(app=app).values_list("names", flat=True) for name in names}
    updates = config_rules.first_values(slug.app_json.get("env") or {}, ever | set(addons.owned(app)), ids.new_secret)
    if not updates:
        return
    try:
        config_vars.change(actor=actor, app=app, home=home, updates=updates)
    except UserError as error:  # over the limits with the present vars, or a slug older than a rule
        raise UserError(f"app.json, env: {error.message}", hint=error.hint) from error


def refusal_text(delivery: Delivery) -> tuple[str, str]:
    """The config vars that this release lacks, and the command that sets them."""
    release = delivery.release
    if release is None or release.slug is None:
        raise NotFoundError("The delivery has no release.")
    app = delivery.app
    own = {one.kind: row.name for one in addon_services.given() if (row := addons.of_kind(app, one.kind))}
    return config_rules.refusal(
        app.name, release_queries.gaps(release.slug, release.config), addon_services.remedies(app.name, own)
    )
