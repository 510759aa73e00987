"""Makes add-ons of any kind and removes them, attaches them to apps and detaches them, renames them. The config vars
are the caller's part.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from django.db import transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.addons import queries, registry, rules
from greenroom.addons.drivers import platform_server
from greenroom.addons.models import Addon, Attachment
from greenroom.addons.rules import services
from greenroom.addons.rules.services import Service
from greenroom.apps.actions import lock_apps, lock_found
from greenroom.apps.models import App
from greenroom.apps.queries import unknown
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError, NotFoundError, UserError
from greenroom.config_vars.actions import data_key
from greenroom.config_vars.drivers.encryption import seal
from greenroom.engine.contract import Forward


def refuse_given(updates: Mapping[str, object]) -> None:
    """UserError for config vars that whatever is made with these values gets from add-ons of its own."""
    wrong = [one for one in services.given() if updates.get(one.variable) is not None]
    if wrong:
        text, hint = rules.given_already(wrong)
        raise UserError(text, hint=hint)


def alone(app: App) -> AbstractContextManager[None]:
    """Only one process makes or destroys what belongs to the app. Begin it outside of transactions, and look then what
    is there.
    """
    return platform_server.one_at_a_time(f"app/{app.pk}")


def provision(
    *, actor: Actor, app: App, home: Path, kind: str, attachment: str = "", given: bool = False
) -> tuple[Addon, dict[str, str]]:
    """An add-on for the app, attached; returns it with the config vars that belong to it; none while it is not ready.

    The row stands first: when the process dies in between, ``finish`` makes what is missing. given: nobody asked for
    it, see ``claim``.
    """
    name = attachment or registry.kind(kind).service.attachment
    addon = record(actor=actor, app=app, home=home, kind=kind, attachment=name, given=given)
    return addon, services.config_vars(name, finish(addon=addon, home=home) or {})


@transaction.atomic
def record(
    *,
    actor: Actor,
    app: App,
    home: Path,
    kind: str,
    attachment: str,
    plan: str = "",
    name: str = "",
    confirmed: bool = False,
    given: bool = False,
) -> Addon:
    """The row of an add-on that is still to be made, in state provisioning, with its first attachment.

    ``confirmed``: the attachment may be taken from another add-on; else UserError with id confirmation_required.
    """
    if not lock_apps([app.pk]):
        raise unknown(app.name)
    own = registry.kind(kind)
    draft = own.draft(app)
    data = {**draft.data, **({"given": True} if given else {})}
    addon = Addon.objects.create(app=app, kind=kind, name=draft.name, plan=plan or own.service.plan, data=data)
    if draft.secret:
        secret = json.dumps(dict(draft.secret)).encode()
        addon.sealed = seal(data_key(app=app, home=home), secret, f"addon/{addon.id}")
        addon.save(update_fields=["sealed"])
    if name:
        rename(actor=actor, addon=addon, name=name)
    attach(actor=actor, addon=addon, app=app, name=attachment, confirmed=confirmed)
    audit(actor=actor, action="addon.create", app=app, detail={"addon": addon.name, "attachment": attachment})
    return addon


@transaction.atomic
def claim(*, actor: Actor, app: App, kind: str, name: str = "") -> Addon | None:
    """The add-on that came with a new app, for its owner's first wish to have one (``create --addons
    heroku-postgresql``). None when there is none, or after code was released: then the owner wants another one.
    """
    lock_apps([app.pk])
    addon = (
        Addon.objects.select_for_update(no_key=True)
        .filter(app=app, kind=kind, state="provisioned", data__contains={"given": True})
        .first()
    )
    if addon is None or app.releases.exclude(slug=None).exists():
        return None
    note(addon, {"given": False})
    audit(actor=actor, action="addon.claim", app=app, detail={"addon": addon.name})
    return rename(actor=actor, addon=addon, name=name) if name else addon


@transaction.atomic
def note(addon: Addon, facts: Mapping[str, object]) -> None:
    """Add facts to the row's data, whoever adds others at the same time."""
    row = Addon.objects.select_for_update(no_key=True).get(pk=addon.pk)
    row.data |= facts
    row.save(update_fields=["data", "updated_at"])
    addon.data = row.data


def build(*, addon: Addon, home: Path) -> dict[str, str] | None:
    """Make the add-on as its row says. Repeatable. Returns its values by suffix, or None while it is not ready."""
    kind = registry.kind(addon.kind)
    kind.provision(addon=addon, home=home)
    return kind.values(addon, home) if kind.finish(addon=addon, home=home) else None


def finish(*, addon: Addon, home: Path) -> dict[str, str] | None:
    """The same, and mark it provisioned; one that is to go stays so."""
    values = build(addon=addon, home=home)
    if values is not None:
        Addon.objects.filter(pk=addon.pk, state="provisioning").update(state="provisioned")
        addon.state = "provisioned"
    return values


def deprovision(*, addon: Addon, home: Path) -> None:
    """Remove the add-on with its data. Repeatable. The row is removed by the caller, with the app or alone."""
    registry.kind(addon.kind).deprovision(addon=addon, home=home)


def make_doubles(*, app: App, label: str) -> tuple[dict[str, str], tuple[Forward, ...]]:
    """Throw-away add-ons for a test run, one for each kind that the app gets or sees: config vars and forwards."""
    values: dict[str, str] = {}
    forwards: list[Forward] = []
    seen = set(queries.seen_by(app).values_list("kind", flat=True))
    for kind in registry.kinds():
        if kind.doubles and (kind.service.given or kind.service.kind in seen):
            made = kind.doubles.make(label=label)
            values |= services.config_vars(kind.service.attachment, made.values)
            forwards += made.forwards
    return values, tuple(forwards)


def drop_doubles(*, label: str) -> None:
    """Drop what ``make_doubles`` made. Unknown label: nothing."""
    for kind in registry.kinds():
        if kind.doubles:
            kind.doubles.drop(label=label)


def drop_other_doubles(*, labels: Callable[[], Iterable[str]]) -> list[str]:
    """Drop the throw-away add-ons that were made for none of the labels; their names. The labels are read last: a new
    double is in neither list.
    """
    there = [(kind.doubles, kind.doubles.present()) for kind in registry.kinds() if kind.doubles]
    known = list(labels()) if any(found for _, found in there) else []
    return [name for doubles, found in there if found for name in doubles.drop_others(there=found, labels=known)]


def free_name(*, app: App, service: Service, wanted: str) -> str:
    """The name of a new attachment, as ``rules.attachment_name`` says. UserError for one that no config var could
    have.
    """
    taken = set(Attachment.objects.filter(app=app).values_list("name", flat=True))
    name = rules.attachment_name(service, wanted, taken)
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
