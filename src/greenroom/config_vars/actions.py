"""Writes new versions of an app's config vars."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from django.db import transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.apps.actions import lock_app
from greenroom.apps.models import App
from greenroom.basics.errors import UserError
from greenroom.config_vars import queries, rules
from greenroom.config_vars.drivers.encryption import master_key, seal
from greenroom.config_vars.models import ConfigVersion, DataKey


@transaction.atomic
def change(
    *, actor: Actor, app: App, home: Path, updates: dict[str, str | None], platform: bool = False
) -> tuple[ConfigVersion, rules.Change] | None:
    """Apply the updates (None removes a key) as a new version; returns None when nothing changes.

    platform: allow reserved names. UserError for an invalid key or value, or above the size limit.
    """
    if not platform:
        refuse_problems(updates)
    lock_app(app.pk)
    latest = queries.latest(app)
    outcome = rules.apply(queries.values(latest, home) if latest else {}, updates)
    if latest and not outcome.set and not outcome.removed:
        return None
    text = rules.too_large(outcome.values)
    if text:
        raise UserError(
            text, hint=f"do not store files in config vars; remove one: heroku config:unset NAME -a {app.name}"
        )
    version = write(app=app, home=home, values=outcome.values, actor=actor)
    detail = {"set": list(outcome.set), "removed": list(outcome.removed), "version": version.number}
    audit(actor=actor, action="config.change", app=app, detail=detail)
    return version, outcome


def refuse_problems(updates: Mapping[str, object]) -> None:
    """Raise UserError for the first invalid config var, or above the limits."""
    for key, value in updates.items():
        text = rules.problem(key, value)
        if text:
            raise UserError(text, hint=rules.remedy(key))
    text = rules.too_large({key: value for key, value in updates.items() if isinstance(value, str)})
    if text:
        raise UserError(text, hint="do not store files in config vars")


@transaction.atomic
def restore(
    *, actor: Actor, app: App, home: Path, version: ConfigVersion, keep: Mapping[str, str | None]
) -> ConfigVersion:
    """Write the values of an earlier version as the newest one. ``keep``: keys with other values (the URLs of add-ons);
    None: not set.
    """
    lock_app(app.pk)
    latest = queries.latest(app)
    now = queries.values(latest, home) if latest else {}
    values = {key: value for key, value in queries.values(version, home).items() if key not in keep}
    values |= {key: value for key, value in keep.items() if value is not None}
    return latest if latest and values == now else write(app=app, home=home, values=values, actor=actor)


@transaction.atomic
def write(*, app: App, home: Path, values: dict[str, str], actor: Actor) -> ConfigVersion:
    """Store a complete map as the next version."""
    latest = queries.latest(app)
    number = latest.number + 1 if latest else 1
    key = data_key(app=app, home=home)
    plain = json.dumps(values, sort_keys=True).encode()
    salted = hashlib.sha256(key + plain).hexdigest()
    return ConfigVersion.objects.create(
        app=app,
        number=number,
        sealed=seal(key, plain, f"config/{app.id}/{number}"),
        names=sorted(values),
        digest=salted,
        account_id=actor.account_id,
    )


def data_key(*, app: App, home: Path) -> bytes:
    """The data key of the app, created on first use."""
    row = DataKey.objects.filter(app=app).first()
    if row is None:
        plain = os.urandom(32)
        wrapped = seal(master_key(home), plain, f"data-key/{app.id}")
        row, made = DataKey.objects.get_or_create(app=app, defaults={"wrapped": wrapped})
        if made:
            return plain
    return queries.open_data_key(row, home)
