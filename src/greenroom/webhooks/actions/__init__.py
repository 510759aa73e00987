"""Creates, changes and removes webhooks. Secrets are encrypted; the plain text is returned once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from django.db import transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.apps.actions import lock_app
from greenroom.apps.models import App
from greenroom.basics import outgoing
from greenroom.basics.errors import UserError
from greenroom.basics.ids import new_secret
from greenroom.config_vars.drivers.encryption import master_key, seal, unseal
from greenroom.webhooks import channels, queries, rules
from greenroom.webhooks.models import Seen, Webhook

MAX_WEBHOOKS = 20


@transaction.atomic
def add(
    *,
    actor: Actor,
    app: App,
    home: Path,
    url: str,
    include: list[str],
    level: str,
    secret: str = "",
    authorization: str = "",
    allowed: Sequence[outgoing.Network] = (),
) -> tuple[Webhook, str]:
    """A webhook and its signing secret, which is shown only once; random by default. UserError for invalid settings."""
    lock_app(app.pk)
    if app.webhooks.count() >= MAX_WEBHOOKS:
        raise UserError(f"Webhook limit of {app.name} reached ({MAX_WEBHOOKS}).", hint="heroku webhooks:remove ID")
    plain = secret or new_secret()
    row = Webhook(app=app)
    _fill(row, home, allowed, url=url, include=include, level=level, secret=plain, authorization=authorization)
    row.save()
    known = [Seen(app=app, key=thing.key) for thing in queries.things(app)]
    Seen.objects.bulk_create(known, ignore_conflicts=True)
    audit(actor=actor, action="webhook.add", app=app, detail=_detail(row))
    return row, plain


@transaction.atomic
def change(
    *,
    actor: Actor,
    webhook: Webhook,
    home: Path,
    url: str | None = None,
    include: list[str] | None = None,
    level: str | None = None,
    secret: str | None = None,
    authorization: str | None = None,
    allowed: Sequence[outgoing.Network] = (),
) -> Webhook:
    """Change the given settings; None leaves one unchanged."""
    row = Webhook.objects.select_for_update(no_key=True).select_related("app").get(pk=webhook.pk)
    _fill(row, home, allowed, url=url, include=include, level=level, secret=secret, authorization=authorization)
    row.save()
    audit(actor=actor, action="webhook.change", app=row.app, detail=_detail(row))
    return row


@transaction.atomic
def remove(*, actor: Actor, webhook: Webhook) -> None:
    """Remove it with its deliveries."""
    audit(actor=actor, action="webhook.remove", app=webhook.app, detail=_detail(webhook))
    Webhook.objects.filter(pk=webhook.pk).delete()


def opened(row: Webhook, home: Path) -> tuple[str, str]:
    """The decrypted (secret, authorization), for sending a request."""
    key = master_key(home)
    token = unseal(key, bytes(row.authorization), _place(row, "authorization")).decode() if row.authorization else ""
    return unseal(key, bytes(row.secret), _place(row, "secret")).decode(), token


def _fill(
    row: Webhook,
    home: Path,
    allowed: Sequence[outgoing.Network],
    *,
    url: str | None,
    include: list[str] | None,
    level: str | None,
    secret: str | None,
    authorization: str | None,
) -> None:
    if url is not None:
        row.url = _url(url, allowed)
    if include is not None:
        try:
            row.include = rules.normal_includes(include)
        except ValueError as error:
            raise UserError(f"{error}.") from error
    if level is not None:
        if level not in rules.LEVELS:
            raise UserError(f"level must be {' or '.join(rules.LEVELS)}.")
        row.level = level
    for name, value in (("secret", secret), ("authorization", authorization)):
        if value:
            problem = rules.text_problem(name, value, 1000)
            if problem:
                raise UserError(f"{problem}.")
            setattr(row, name, seal(master_key(home), value.encode(), _place(row, name)))


def _url(url: str, allowed: Sequence[outgoing.Network]) -> str:
    """The URL, if a channel accepts it as a target."""
    channel = channels.of(url)
    if channel is None or channel.hidden:
        raise UserError(f"url {outgoing.url_problem(url, channels.schemes())}.")
    problem = channel.problem(url, allowed)
    if problem:
        raise UserError(f"url {problem.text}.", hint=problem.hint)
    return url


def _place(row: Webhook, name: str) -> str:
    return f"webhook/{row.pk}/{name}"


def _detail(row: Webhook) -> dict[str, object]:
    return {"webhook": str(row.pk), "host": urlsplit(row.url).hostname, "include": row.include, "level": row.level}
