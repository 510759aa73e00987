"""Creates, attaches and destroys add-ons together with their config vars, like ``app_lifecycle`` for apps.

Each action writes its rows in one transaction. ``heal`` completes the work outside of it (create or remove a resource)
after a crash.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import cast

from django.db import transaction

from greenroom.accounts.rules import PLATFORM, Actor
from greenroom.addons import actions, queries, registry
from greenroom.addons.models import Addon, Attachment
from greenroom.addons.rules.services import config_vars
from greenroom.apps.actions import lock_apps
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError
from greenroom.basics.guard import Guard
from greenroom.deliveries.actions import attach_config

guard = Guard(logging.getLogger(__name__))

PATIENCE = timedelta(minutes=1)


def create(
    *,
    actor: Actor,
    app: App,
    home: Path,
    kind: str,
    name: str,
    wanted: str,
    confirmed: bool,
    plan: str = "",
    options: Mapping[str, object] | None = None,
) -> Addon:
    """Create an add-on with its first attachment and a release with its config vars. The first call returns the add-on
    that the app was created with.
    """
    service = registry.kind(kind).service
    with actions.alone(app):
        own = (
            actions.claim(actor=actor, app=app, kind=kind, name=name)
            if wanted.upper().removesuffix("_URL") in ("", service.attachment)
            else None
        )
        if own is not None:
            return own
        with transaction.atomic():
            lock_apps([app.pk])  # reserves the name
            attachment = actions.free_name(app=app, service=service, wanted=wanted)
            addon = actions.record(
                actor=actor,
                app=app,
                home=home,
                kind=kind,
                attachment=attachment,
                plan=plan,
                name=name,
                confirmed=confirmed,
                options=options,
            )
        _complete(actor, addon, home)
    return addon


def _complete(actor: Actor, addon: Addon, home: Path) -> None:
    """Create the add-on's resource and set its config vars in the attached apps. If it is not ready yet, ``heal``
    continues later.
    """
    values = actions.build(addon=addon, home=home)
    if values is None:
        return
    service = queries.service_of(addon)
    with transaction.atomic():
        actions.hold(addon)
        for row in addon.attachments.select_related("app"):
            text = f"Attach {row.name} ({addon.name})"
            own = config_vars(service, row.name, values)
            attach_config(actor=actor, app=row.app, home=home, values=own, description=text)
        actions.note_provisioned(addon)
    addon.state = "provisioned"


@transaction.atomic
def attach(*, actor: Actor, addon: Addon, app: App, home: Path, wanted: str, confirmed: bool) -> Attachment:
    """Attach the add-on under a new name, or move an existing name to it (promote)."""
    actions.hold_both(addon, app)
    kind = registry.kind(addon.kind)
    name = actions.free_name(app=app, service=kind.service, wanted=wanted)
    before = Attachment.objects.select_related("addon").filter(app=app, name=name).first()
    row = actions.attach(actor=actor, addon=addon, app=app, name=name, confirmed=confirmed)
    moved = f"Detach {name} ({before.addon.name}), " if before and before.addon_id != addon.pk else ""
    values = config_vars(kind.service, name, kind.values(addon, home))
    attach_config(actor=actor, app=app, home=home, values=values, description=f"{moved}Attach {name} ({addon.name})")
    return row


@transaction.atomic
def detach(*, actor: Actor, attachment: Attachment, home: Path) -> None:
    """Remove the attachment and its config vars."""
    actions.detach(actor=actor, attachment=attachment)
    _unset(actor, [attachment], home)


def rotate(*, actor: Actor, addon: Addon, home: Path) -> None:
    """Give the add-on new secrets, and each attached app a release with them. ConflictError if its kind cannot."""
    kind = registry.kind(addon.kind)
    with actions.alone(addon.app):
        kind.rotate(actor=actor, addon=addon, home=home)
        addon.refresh_from_db()
        with transaction.atomic():
            actions.hold(addon)
            for row in addon.attachments.select_related("app"):
                own = config_vars(kind.service, row.name, kind.values(addon, home))
                text = f"Rotate the credentials of {row.name} ({addon.name})"
                attach_config(actor=actor, app=row.app, home=home, values=own, description=text)


@transaction.atomic
def readdress(*, actor: Actor, addon: Addon, home: Path) -> None:
    """Give each attached app a release with the add-on's present values, if they differ: the installation was restored
    with other ports. Repeatable.
    """
    kind = registry.kind(addon.kind)
    actions.hold(addon)
    for row in addon.attachments.select_related("app"):
        own = config_vars(kind.service, row.name, kind.values(addon, home))
        text = f"Move {row.name} ({addon.name})"
        attach_config(actor=actor, app=row.app, home=home, values=own, description=text)


def destroy(*, actor: Actor, addon: Addon, home: Path, force: bool) -> None:
    """Remove all attachments, then the add-on with its data. Raises ConflictError if other apps are attached, unless
    ``force``.
    """
    with actions.alone(addon.app):
        with transaction.atomic():
            actions.hold(addon)
            others = Attachment.objects.filter(addon=addon).exclude(app=addon.app_id).select_related("app")
            if others and not force:
                raise ConflictError(
                    f"{addon.name} is also attached to {', '.join(row.app.name for row in others)}.",
                    hint="detach it there, or use --force",
                )
            _unset(actor, actions.give_up(actor=actor, addon=addon), home)
        _drop(addon, home)


def _drop(addon: Addon, home: Path) -> None:
    actions.deprovision(addon=addon, home=home)
    actions.forget(addon)


def _unset(actor: Actor, attachments: list[Attachment], home: Path) -> None:
    """Create a release for each app without the config vars of its attachments."""
    for app in {row.app_id: row.app for row in attachments}.values():
        names = sorted(row.name for row in attachments if row.app_id == app.pk)
        keys = [key for name in names for key in queries.service_of(attachments[0].addon).keys(name)]
        gone = cast("dict[str, str]", dict.fromkeys(keys))  # None removes a config var
        text = f"Detach {', '.join(names)} ({attachments[0].addon.name})"
        attach_config(actor=actor, app=app, home=home, values=gone, description=text)


def heal(*, home: Path, after: timedelta = PATIENCE) -> None:
    """After a crash: complete interrupted creations and deletions that are older than ``after``.

    The first add-ons of a new app belong to the app's lifecycle.
    """
    old = clock.now() - after
    going = Addon.objects.filter(state="deprovisioning", updated_at__lte=old).select_related("app")
    begun = queries.addons().filter(state="provisioning", updated_at__lte=old, app__releases__version__gt=1)
    for addon in [*going, *begun.distinct()]:
        guard.run(addon.pk, f"add-on {addon.name}", partial(_heal, addon, home))


def _heal(addon: Addon, home: Path) -> None:
    """Complete the work on one add-on, if no one else holds the app's lock."""
    with actions.alone(addon.app):
        state = Addon.objects.filter(pk=addon.pk).values_list("state", flat=True).first()
        if state == "deprovisioning":
            _drop(addon, home)
        elif state == "provisioning":
            _complete(PLATFORM, addon, home)
