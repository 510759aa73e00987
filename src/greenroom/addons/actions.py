"""Attaches add-ons to apps and detaches them, renames them, and marks those that are to go. The config vars are the
caller's part.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.addons import rules
from greenroom.addons.models import Addon, Attachment
from greenroom.apps.actions import lock_apps, lock_found
from greenroom.apps.models import App
from greenroom.apps.queries import unknown
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError, NotFoundError, UserError


def refuse_given(updates: Mapping[str, object]) -> None:
    """UserError for the config var that whatever is made with these values gets from a database of its own."""
    if updates.get(rules.GIVEN) is not None:
        raise UserError(
            f"Cannot overwrite attachment values {rules.GIVEN}: each new app, review app and test run gets a database"
            " of its own.",
            hint="use a name of your own, for example REPORTS_DATABASE_URL, and read that in your settings",
        )


def free_name(*, app: App, wanted: str) -> str:
    """The name of a new attachment, as ``rules.attachment_name`` says. UserError for one that no config var could
    have.
    """
    taken = set(Attachment.objects.filter(app=app).values_list("name", flat=True))
    name = rules.attachment_name(wanted, taken)
    if not name:
        raise UserError(
            f"{wanted[:60]!r} cannot be an attachment's name.",
            hint="use capitals, digits and underscores, like ANALYTICS",
        )
    return name


def hold(addon: Addon) -> None:
    """Lock the add-on's app and all apps that see the add-on, so that it is neither attached nor destroyed meanwhile,
    and read it anew.

    NotFoundError when it is gone or going.
    """
    seen_by = Attachment.objects.filter(addon=addon).values_list("app_id", flat=True)
    lock_found(lambda: {addon.app_id, *seen_by.all()})
    _refuse_gone(addon)


def hold_both(addon: Addon, app: App) -> None:
    """Lock the add-on's app and one that is to see it. NotFoundError when that app is gone, or the add-on is gone or
    going.
    """
    if app.pk not in {row.pk for row in lock_apps([addon.app_id, app.pk])}:
        raise unknown(app.name)
    _refuse_gone(addon)


def _refuse_gone(addon: Addon) -> None:
    state = Addon.objects.filter(pk=addon.pk).values_list("state", flat=True).first()
    if state in (None, "deprovisioning"):
        raise NotFoundError("Couldn't find that add-on.", hint="heroku addons lists them", resource="add_on")
    addon.state = str(state)


@transaction.atomic
def attach(*, actor: Actor, addon: Addon, app: App, name: str, confirmed: bool = False) -> Attachment:
    """Let the app see the add-on under that name. A name that leads elsewhere is moved only if ``confirmed`` (id
    confirmation_required).
    """
    hold_both(addon, app)
    row = Attachment.objects.select_related("addon").filter(app=app, name=name).first()
    if row and row.addon_id == addon.pk:
        return row
    if row and not confirmed:
        raise UserError(f"{name} of {app.name} leads to {row.addon.name} now.", id="confirmation_required")
    if row:
        row.delete()
    made = Attachment.objects.create(addon=addon, app=app, name=name)
    audit(actor=actor, action="addon.attach", app=app, detail={"addon": addon.name, "attachment": name})
    return made


@transaction.atomic
def detach(*, actor: Actor, attachment: Attachment) -> None:
    """The app no longer sees the add-on under that name. ConflictError for its last attachment to its own app: destroy
    it instead.
    """
    addon, app = attachment.addon, attachment.app
    lock_apps([app.pk])
    if not Attachment.objects.filter(pk=attachment.pk).exists():
        raise NotFoundError(
            "Couldn't find that add-on attachment.", hint=f"heroku addons -a {app.name}", resource="add_on attachment"
        )
    others = Attachment.objects.filter(addon=addon, app=addon.app_id).exclude(pk=attachment.pk)
    if app.pk == addon.app_id and not others.exists():
        raise ConflictError(
            f"{attachment.name} is the last attachment of {addon.name} to {app.name}, which owns it.",
            hint=f"heroku addons:destroy {addon.name} -a {app.name}",
        )
    Attachment.objects.filter(pk=attachment.pk).delete()
    audit(actor=actor, action="addon.detach", app=app, detail={"addon": addon.name, "attachment": attachment.name})


@transaction.atomic
def rename(*, actor: Actor, addon: Addon, name: str) -> Addon:
    """Another name for the add-on. UserError when it is none, or taken."""
    if not rules.ADDON_NAME.match(name):
        raise UserError(f"{name[:80]!r} cannot be an add-on's name.", hint="lower-case letters, digits and dashes")
    lock_apps([addon.app_id])
    _refuse_gone(addon)
    if Addon.objects.filter(name=name).exclude(pk=addon.pk).exists():
        raise UserError(f"The name {name} is taken.")
    audit(actor=actor, action="addon.rename", app=addon.app, detail={"from": addon.name, "to": name})
    Addon.objects.filter(pk=addon.pk).update(name=name, updated_at=clock.now())
    addon.name = name
    return addon


@transaction.atomic
def give_up(*, actor: Actor, addon: Addon) -> list[Attachment]:
    """Mark the add-on as to be destroyed and take its attachments away; returns what they were. Its data goes with
    ``deprovision``.

    NotFoundError when somebody else has done so.
    """
    hold(addon)
    attachments = list(Attachment.objects.filter(addon=addon).select_related("app"))
    Attachment.objects.filter(addon=addon).delete()
    Addon.objects.filter(pk=addon.pk).update(state="deprovisioning", updated_at=clock.now())
    audit(actor=actor, action="addon.destroy", app=addon.app, detail={"addon": addon.name})
    addon.state = "deprovisioning"
    return attachments


def note_provisioned(addon: Addon) -> None:
    """The add-on is made, and the apps that see it have its config vars."""
    Addon.objects.filter(pk=addon.pk, state="provisioning").update(state="provisioned")
    addon.state = "provisioned"


def forget(addon: Addon) -> None:
    """Delete the row of an add-on that was to be destroyed and of which nothing is left."""
    Addon.objects.filter(pk=addon.pk, state="deprovisioning").delete()
