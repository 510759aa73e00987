"""Adds, tests and removes notifications. Targets are encrypted: they may contain tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from django.db import transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.models import Account
from greenroom.accounts.rules import Actor
from greenroom.apps.actions import lock_app
from greenroom.apps.models import App
from greenroom.basics import clock, outgoing
from greenroom.basics.errors import UserError
from greenroom.config_vars.drivers.encryption import master_key, seal, unseal
from greenroom.webhooks import channels
from greenroom.webhooks.actions.occurrences import payload
from greenroom.webhooks.models import Event, Notification, WebhookDelivery
from greenroom.webhooks.rules import notices
from greenroom.webhooks.rules.notices import Notice

MOST = 20


def add(
    *,
    actor: Actor,
    app: App | None,
    home: Path,
    url: str,
    events: Sequence[str] = (),
    allowed: Sequence[outgoing.Network] = (),
) -> Notification:
    """A notification of an app; of all apps and the installation if ``app`` is None. events: names, the usual ones if
    empty. UserError for an invalid target or event.
    """
    channel = channels.of(url)
    if channel is None or not channel.hidden:
        raise UserError(
            f"target must begin with {_schemes()}.",
            hint=(
                f"for a URL of your own: heroku webhooks:add -i deliveries -l sync -u URL -a {app.name}"
                if app
                else "mailto:ops@example.com"
            ),
        )
    try:
        names = notices.chosen(events)
    except ValueError as error:
        raise UserError(f"{error}.") from error
    if app is not None:
        names = [name for name in names if name not in notices.INSTALLATION]
    if not names:
        raise UserError("The events disk and backup are of the installation.", hint="greenroom notify:add TARGET --all")
    problem = channel.problem(url, allowed)
    if problem:
        raise UserError(f"target {problem.text}.", hint=problem.hint)
    row = Notification(app=app, channel=channel.name, shown=channel.shown(url), events=names)
    return _save(actor, row, url, home)


@transaction.atomic
def _save(actor: Actor, row: Notification, url: str, home: Path) -> Notification:
    if row.app is not None:
        lock_app(row.app.pk)
    if Notification.objects.filter(app=row.app).count() >= MOST:
        raise UserError(f"Limit of {MOST} notifications reached.", hint="greenroom notify:remove ID")
    row.account = Account.objects.filter(pk=actor.account_id).first() if actor.account_id else None
    row.url = seal(master_key(home), url.encode(), _place(row))
    row.save()
    audit(actor=actor, action="notification.add", app=row.app, detail=_detail(row))
    return row


@transaction.atomic
def remove(*, actor: Actor, row: Notification) -> None:
    """Remove it with its deliveries."""
    audit(actor=actor, action="notification.remove", app=row.app, detail=_detail(row))
    Notification.objects.filter(pk=row.pk).delete()


@transaction.atomic
def test(*, actor: Actor, row: Notification) -> WebhookDelivery:
    """Send a message to this target alone, now. Returns its delivery."""
    notice = Notice(
        event="test",
        app=row.app.name if row.app else "",
        what="This is a test.",
        why=f"{actor.email} asked for it. The events of this notification: {', '.join(row.events)}.",
    )
    told = {"event": "test", "subject": notice.subject, "text": notice.text}
    who = {"id": str(actor.account_id or ""), "email": actor.email}
    body = payload(include="alerts", action="create", data=told, actor=who)
    event = Event.objects.create(app=row.app, include="alerts", payload=body)
    return WebhookDelivery.objects.create(notification=row, event=event, next_attempt_at=clock.now())


def opened(row: Notification, home: Path) -> str:
    """The decrypted target."""
    return unseal(master_key(home), bytes(row.url), _place(row)).decode()


def _place(row: Notification) -> str:
    return f"notification/{row.pk}/url"


def _detail(row: Notification) -> dict[str, object]:
    return {"notification": str(row.pk), "target": row.shown, "events": row.events}


def _schemes() -> str:
    names = [f"{scheme}:" for scheme in channels.schemes(hidden=True)]
    return f"{', '.join(names[:-1])} or {names[-1]}"
