"""Creates, removes, attaches, detaches and renames add-ons of any kind. The caller updates the config vars."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from django.db import transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.addons import queries, registry, rules
from greenroom.addons.contract import Kind
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
from greenroom.engine.contract import Forward, Mount


def refuse_given(updates: Mapping[str, object]) -> None:
    """UserError for config vars that new apps, review apps and test runs get from their own add-ons."""
    wrong = [one for one in services.given() if updates.get(one.variable) is not None]
    if wrong:
        text, hint = rules.given_already(wrong)
        raise UserError(text, hint=hint)


def alone(app: App) -> AbstractContextManager[None]:
    """Lock the creation and removal of the app's resources. Acquire it outside of transactions, and read the rows
    afterwards.
    """
    return platform_server.one_at_a_time(f"app/{app.pk}")


def provision(
    *, actor: Actor, app: App, home: Path, kind: str, attachment: str = "", given: bool = False
) -> tuple[Addon, dict[str, str]]:
    """Create an add-on and attach it; returns it with its config vars, which are empty until it is ready.

    The row is written first: after a crash, ``finish`` completes it. given: created automatically with the app, see
    ``claim``.
    """
    service = registry.kind(kind).service
    name = attachment or service.attachment
    addon = record(actor=actor, app=app, home=home, kind=kind, attachment=name, given=given)
    return addon, services.config_vars(service, name, finish(addon=addon, home=home) or {})


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
    options: Mapping[str, object] | None = None,
) -> Addon:
    """The row of a new add-on in state provisioning, with its first attachment.

    ``confirmed``: the attachment name may be taken from another add-on; else UserError with id confirmation_required.
    options: of the creation, for a kind that has them.
    """
    if not lock_apps([app.pk]):
        raise unknown(app.name)
    own = registry.kind(kind)
    draft = own.draft(app)
    data = {**draft.data, **_chosen(own, app, options or {}, home), **({"given": True} if given else {})}
    addon = Addon.objects.create(app=app, kind=kind, name=draft.name, plan=plan or own.service.plan, data=data)
    if draft.secret:
        set_secret(addon, home, draft.secret)
    if name:
        rename(actor=actor, addon=addon, name=name)
    attach(actor=actor, addon=addon, app=app, name=attachment, confirmed=confirmed)
    audit(actor=actor, action="addon.create", app=app, detail={"addon": addon.name, "attachment": attachment})
    return addon


def _chosen(kind: Kind, app: App, options: Mapping[str, object], home: Path) -> Mapping[str, object]:
    """The data of the chosen options. UserError if the kind has none."""
    if kind.options:
        return kind.options.choose(app=app, given=options, home=home)
    if options:
        raise UserError(
            f"{kind.service.human_name} has no options (such as --fork or --follow).",
            hint=f"heroku addons:create {kind.service.name} -a {app.name}",
        )
    return {}


@transaction.atomic
def claim(*, actor: Actor, app: App, kind: str, name: str = "") -> Addon | None:
    """The add-on that came with a new app, for the owner's first request of one (``create --addons
    heroku-postgresql``).

    None if there is none, or after the first release with code: the request then means an additional add-on.
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
    """Merge facts into the row's data. Safe for concurrent writers."""
    row = Addon.objects.select_for_update(no_key=True).get(pk=addon.pk)
    row.data |= facts
    row.save(update_fields=["data", "updated_at"])
    addon.data = row.data


def set_secret(addon: Addon, home: Path, secret: Mapping[str, str]) -> None:
    """Replace the add-on's secrets, encrypted."""
    text = json.dumps(dict(secret)).encode()
    addon.sealed = seal(data_key(app=addon.app, home=home), text, f"addon/{addon.id}")
    addon.save(update_fields=["sealed"])


def build(*, addon: Addon, home: Path) -> dict[str, str] | None:
    """Provision the add-on as its row specifies. Idempotent. Returns its values by suffix, or None until it is
    ready.
    """
    kind = registry.kind(addon.kind)
    kind.provision(addon=addon, home=home)
    return kind.values(addon, home) if kind.finish(addon=addon, home=home) else None


def finish(*, addon: Addon, home: Path) -> dict[str, str] | None:
    """Like ``build``, and mark it provisioned, unless it is to be destroyed."""
    values = build(addon=addon, home=home)
    if values is not None:
        Addon.objects.filter(pk=addon.pk, state="provisioning").update(state="provisioned")
        addon.state = "provisioned"
    return values


def deprovision(*, addon: Addon, home: Path) -> None:
    """Remove the add-on with its data. Idempotent. The caller removes the row, alone or with the app."""
    registry.kind(addon.kind).deprovision(addon=addon, home=home)


@dataclass(frozen=True)
class Surroundings:
    """The temporary add-ons of a test run: config vars, forwards, mounts."""

    values: dict[str, str]
    forwards: tuple[Forward, ...]
    mounts: tuple[Mount, ...]


def make_doubles(*, app: App, label: str) -> Surroundings:
    """Temporary add-ons for a test run, one for each kind that the app gets or sees.

    A kind without doubles and mounts gives the config vars of the app's attachments, which lead nowhere.
    """
    values: dict[str, str] = {}
    forwards, mounts = list[Forward](), list[Mount]()
    seen = set(queries.seen_by(app).values_list("kind", flat=True))
    for kind in registry.kinds():
        if kind.doubles and ((kind.service.given and not app.bare) or kind.service.kind in seen):
            made = kind.doubles.make(app=app, label=label)
            values |= services.config_vars(kind.service, kind.service.attachment, made.values)
            forwards += made.forwards
        if kind.mounts and kind.service.kind in seen:
            more, folders = kind.mounts.in_tests(list(queries.ready(app, kind.service.kind)))
            values |= more
            mounts += folders
    for row in queries.attachments().filter(app=app):
        kind = registry.kind(row.addon.kind)
        if kind.doubles is None and kind.mounts is None:
            values |= queries.nowhere_of(row)
    return Surroundings(values, tuple(forwards), tuple(mounts))


def drop_doubles(*, label: str) -> None:
    """Drop the doubles of a label; no effect for an unknown label."""
    for kind in registry.kinds():
        if kind.doubles:
            kind.doubles.drop(label=label)


def drop_other_doubles(*, labels: Callable[[], Iterable[str]]) -> list[str]:
    """Drop the doubles of all other labels; returns their names.

    The labels are read last, so that a double created meanwhile is safe.
    """
    there = [(kind.doubles, kind.doubles.present()) for kind in registry.kinds() if kind.doubles]
    known = list(labels()) if any(found for _, found in there) else []
    return [name for doubles, found in there if found for name in doubles.drop_others(there=found, labels=known)]


def free_name(*, app: App, service: Service, wanted: str) -> str:
    """The name of a new attachment, see ``rules.attachment_name``. UserError for an invalid config var name."""
    taken = set(Attachment.objects.filter(app=app).values_list("name", flat=True))
    name = rules.attachment_name(service, wanted, taken)
    if not name:
        raise UserError(
            f"{wanted[:60]!r} is not a valid attachment name.",
            hint="use capitals, digits and underscores, like ANALYTICS",
        )
    return name


def hold(addon: Addon) -> None:
    """Lock the add-on's app and all apps that see it against attach and destroy, and refresh the add-on from the
    database.

    NotFoundError if it has been destroyed or is to be.
    """
    seen_by = Attachment.objects.filter(addon=addon).values_list("app_id", flat=True)
    lock_found(lambda: {addon.app_id, *seen_by.all()})
    _refuse_gone(addon)


def hold_both(addon: Addon, app: App) -> None:
    """Lock the add-on's app and an app that will see it.

    NotFoundError if that app has been destroyed, or if the add-on has been destroyed or is to be.
    """
    if app.pk not in {row.pk for row in lock_apps([addon.app_id, app.pk])}:
        raise unknown(app.name)
    _refuse_gone(addon)


def _refuse_gone(addon: Addon) -> None:
    state = Addon.objects.filter(pk=addon.pk).values_list("state", flat=True).first()
    if state in (None, "deprovisioning"):
        raise NotFoundError("Couldn't find that add-on.", hint="list them with: heroku addons", resource="add_on")
    addon.state = str(state)


@transaction.atomic
def attach(*, actor: Actor, addon: Addon, app: App, name: str, confirmed: bool = False) -> Attachment:
    """Attach the add-on to the app under that name. A name in use moves only if ``confirmed`` (id
    confirmation_required).
    """
    hold_both(addon, app)
    service = queries.service_of(addon)
    if app.pk != addon.app_id and not service.shared:
        raise ConflictError(
            f"{addon.name} belongs to {addon.app.name}: a {service.noun} cannot be shared.",
            hint=f"heroku addons:create {service.name} -a {app.name}",
        )
    row = Attachment.objects.select_related("addon").filter(app=app, name=name).first()
    if row and row.addon_id == addon.pk:
        return row
    if row and not confirmed:
        raise UserError(f"{name} of {app.name} is already attached to {row.addon.name}.", id="confirmation_required")
    if row:
        row.delete()
    made = Attachment.objects.create(addon=addon, app=app, name=name)
    audit(actor=actor, action="addon.attach", app=app, detail={"addon": addon.name, "attachment": name})
    return made


@transaction.atomic
def detach(*, actor: Actor, attachment: Attachment) -> None:
    """Detach the add-on from the app. ConflictError for the last attachment to its own app: destroy it instead."""
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
    """Rename the add-on. UserError if the name is invalid or taken."""
    if not rules.ADDON_NAME.match(name):
        raise UserError(f"{name[:80]!r} is not a valid add-on name.", hint="lower-case letters, digits and dashes")
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
    """Mark the add-on for destruction and remove its attachments, which are returned. ``deprovision`` removes its data.

    NotFoundError if it is already marked.
    """
    hold(addon)
    attachments = list(Attachment.objects.filter(addon=addon).select_related("app"))
    Attachment.objects.filter(addon=addon).delete()
    Addon.objects.filter(pk=addon.pk).update(state="deprovisioning", updated_at=clock.now())
    audit(actor=actor, action="addon.destroy", app=addon.app, detail={"addon": addon.name})
    addon.state = "deprovisioning"
    return attachments


def note_provisioned(addon: Addon) -> None:
    """Mark the add-on provisioned, after its config vars have been set."""
    Addon.objects.filter(pk=addon.pk, state="provisioning").update(state="provisioned")
    addon.state = "provisioned"


def forget(addon: Addon) -> None:
    """Delete the row of a destroyed add-on after the removal of its data."""
    Addon.objects.filter(pk=addon.pk, state="deprovisioning").delete()
