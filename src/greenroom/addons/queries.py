"""Finds add-ons and attachments by name, and builds their part of a dyno's environment."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db.models import Q, QuerySet

from greenroom.addons import registry
from greenroom.addons.contract import Loss, Restores, Schema, Snapshots
from greenroom.addons.drivers import service_dynos
from greenroom.addons.models import Addon, Attachment, Restore, Snapshot
from greenroom.addons.rules import services
from greenroom.addons.rules.access import OWNER, swapped
from greenroom.apps.models import App
from greenroom.basics.errors import ConflictError, NotFoundError, PlatformError
from greenroom.basics.ids import is_uuid
from greenroom.config_vars.drivers.encryption import unseal
from greenroom.config_vars.models import DataKey
from greenroom.config_vars.queries import open_data_key
from greenroom.engine import names
from greenroom.engine.contract import Forward, Mount


def _is(field: str, text: str) -> Q:
    try:
        return Q(id=uuid.UUID(text)) | Q(**{field: text})
    except ValueError:
        return Q(**{field: text})


def addons() -> QuerySet[Addon]:
    """Add-ons that are not to be destroyed, oldest first."""
    return Addon.objects.exclude(state="deprovisioning").select_related("app").order_by("created_at")


def attachments() -> QuerySet[Attachment]:
    """All, oldest first."""
    rows = Attachment.objects.select_related("app", "addon__app").exclude(addon__state="deprovisioning")
    return rows.order_by("created_at")


def find_addons(text: str, app: App | None) -> list[Addon]:
    """The add-ons of that name or id; with an app, also those with that attachment or config var, else those of that
    service.
    """
    found = list(addons().filter(_is("name", text)))
    if app and not found:
        found = list({row.addon_id: row.addon for row in find_attachments(text, app)}.values())
    service = services.named(text.partition(":")[0])
    if app and not found and service:
        found = list(addons().filter(kind=service.kind).filter(Q(app=app) | Q(attachments__app=app)).distinct())
    return found


def find_attachments(text: str, app: App | None) -> list[Attachment]:
    """The attachments of that name, config var, id, or add-on's name, limited to the app if one is given."""
    rows = attachments().filter(app=app) if app else attachments()
    name = text.upper().removesuffix("_URL") if text.upper() == text else text
    named = list(rows.filter(_is("name", name) | _is("name", text))) or list(rows.filter(Q(addon__name=text)))
    service = services.named(text.partition(":")[0])
    return named or (list(rows.filter(addon__kind=service.kind)) if app and service else [])


def owned(app: App) -> dict[str, Attachment]:
    """Config vars owned by the app's attachments: only attach and detach change them."""
    rows = attachments().filter(app=app)
    return {key: row for row in rows for key in service_of(row.addon).keys(row.name)}


def service_of(addon: Addon) -> services.Service:
    """The service of the add-on."""
    return registry.kind(addon.kind).service


def of_kind(app: App, kind: str) -> Addon | None:
    """The app's own add-on of the kind under the default attachment, else its first one, or None."""
    own = Addon.objects.filter(app=app, kind=kind).exclude(state="deprovisioning").select_related("app")
    first = registry.kind(kind).service.attachment
    return own.filter(attachments__app=app, attachments__name=first).first() or own.order_by("created_at").first()


def attached_to(app: App) -> dict[str, str]:
    """The app's attachments: name -> kind of the add-on."""
    return dict(attachments().filter(app=app).values_list("name", "addon__kind"))


def seen_by(app: App) -> QuerySet[Addon]:
    """The add-ons that the app owns or has attached."""
    return Addon.objects.filter(Q(app=app) | Q(attachments__app=app)).distinct()


def nowhere(app: App) -> dict[str, str]:
    """The config vars of the app's add-ons for commands that need the names but no server."""
    found: dict[str, str] = {}
    for one in [] if app.bare else services.given():
        found |= services.config_vars(one, one.attachment, one.nowhere)
    for row in attachments().filter(app=app):
        found |= nowhere_of(row)
    return found


def nowhere_of(row: Attachment) -> dict[str, str]:
    """The same for one attachment."""
    service = service_of(row.addon)
    return services.config_vars(service, row.name, service.nowhere)


def secret_of(addon: Addon, home: Path) -> dict[str, str]:
    """The add-on's secrets, decrypted."""
    if not addon.sealed:
        return {}
    key = open_data_key(DataKey.objects.get(app_id=addon.app_id), home)
    found: dict[str, str] = json.loads(unseal(key, bytes(addon.sealed), f"addon/{addon.id}"))
    return found


def values_of(app: App, home: Path) -> dict[str, str]:
    """The current values of the config vars of the app's attachments to ready add-ons."""
    found: dict[str, str] = {}
    for row in Attachment.objects.filter(app=app, addon__state="provisioned").select_related("addon"):
        kind = registry.kind(row.addon.kind)
        found |= services.config_vars(kind.service, row.name, kind.values(row.addon, home))
    return found


def environment(env: Mapping[str, str], *, app: App, home: Path, access: str) -> dict[str, str]:
    """The environment of a dyno of the app, with the given access level to the add-ons that it sees.

    Config vars of any name contain the owner's credentials; every occurrence is replaced.
    """
    if access == OWNER:
        return dict(env)
    words = [word for row in seen_by(app) for word in registry.kind(row.kind).words(row, home, access)]
    return swapped(env, words)


def forwards(app: App) -> tuple[Forward, ...]:
    """The forwards from the app's dynos to its add-ons."""
    seen = list(seen_by(app))
    own = ((kind, [row for row in seen if row.kind == kind.service.kind]) for kind in registry.kinds())
    return tuple(dict.fromkeys(forward for kind, rows in own for forward in kind.forwards(rows)))


def mounts(app: App, *, dyno: str) -> tuple[Mount, ...]:
    """The mounts of the app's own ready add-ons in a dyno of that kind; ``probe`` changes nothing."""
    own = ((kind.mounts, kind.service.kind) for kind in registry.kinds())
    return tuple(mount for found, kind in own if found for mount in found.of(list(ready(app, kind)), dyno=dyno))


def ready(app: App, kind: str) -> QuerySet[Addon]:
    """The app's own add-ons of the kind that are ready for use, oldest first."""
    rows = Addon.objects.filter(app=app, kind=kind, state="provisioned").order_by("created_at")
    return rows.prefetch_related("attachments")


def database_of(app: App) -> Addon | None:
    """The app's add-on whose schema its migrations change, or None."""
    found = (of_kind(app, kind.service.kind) for kind in registry.kinds() if kind.schema)
    return next((addon for addon in found if addon), None)


def schema_of(addon: Addon) -> Schema:
    """The schema of an add-on that ``database_of`` has found."""
    schema = registry.kind(addon.kind).schema
    if schema is None:
        raise PlatformError(f"{addon.name} has no schema.")
    return schema


def snapshots_for(addon: Addon) -> Snapshots:
    """The snapshot capability of the add-on. ConflictError if its kind has none."""
    found = registry.kind(addon.kind).snapshots
    if found is None:
        name = service_of(addon).human_name
        raise ConflictError(f"{addon.name} cannot be saved: snapshots are not supported for {name}.")
    return found


def restores_for(addon: Addon) -> Restores:
    """The restore capability of the add-on. ConflictError if its kind has none."""
    found = registry.kind(addon.kind).restores
    if found is None:
        raise ConflictError(
            f"{addon.name} cannot be restored: snapshots are not supported for {service_of(addon).human_name}."
        )
    return found


def replacing(app: App) -> Restore | None:
    """The restore or reset of the app's database that has not yet switched to the new data."""
    addon = database_of(app)
    return schema_of(addon).replacing(addon) if addon else None


def alike(app: App) -> list[tuple[str, str, Mapping[str, object]]]:
    """(kind, attachment, options) of the app's add-ons that its review apps get an empty one of: those with options."""
    kinds = {kind.service.kind: kind.options for kind in registry.kinds()}
    rows = attachments().filter(app=app, addon__app=app, addon__state="provisioned")
    found = ((row, kinds.get(row.addon.kind)) for row in rows)
    return [(row.addon.kind, row.name, options.same(row.addon)) for row, options in found if options]


def _saved() -> list[str]:
    return [kind.service.kind for kind in registry.kinds() if kind.snapshots]


def snapshots_of(app: App) -> QuerySet[Snapshot]:
    """Snapshots of the app's add-ons of kinds with this capability, except those in deletion, newest first."""
    rows = (
        Snapshot.objects.filter(addon__app=app, addon__kind__in=_saved())
        .exclude(state="deleting")
        .select_related("addon__app")
    )
    return rows.order_by("-number")


def snapshot(app: App, name: str) -> Snapshot:
    """The snapshot with the name ``b001`` or ``1``, or that id. NotFoundError if there is none."""
    found = _named(snapshots_of(app), name, name.lstrip("ab"))
    if found is None:
        raise NotFoundError(
            f"Couldn't find snapshot {name[:40]}.", hint=f"greenroom pg:snapshots -a {app.name}", resource="snapshot"
        )
    return found


def _named(rows: QuerySet[Any], name: str, number: str) -> Any:
    if is_uuid(name):
        return rows.filter(pk=name).first()
    return rows.filter(number=int(number)).first() if number.isdecimal() and len(number) < 9 else None


def restores_of(app: App) -> QuerySet[Restore]:
    """All restores of the app's add-ons of kinds with this capability, with their steps, newest first."""
    rows = Restore.objects.filter(addon__app=app, addon__kind__in=_saved()).select_related(
        "addon__app", "snapshot", "saved"
    )
    return rows.prefetch_related("steps").order_by("-number")


def restore(app: App, name: str) -> Restore:
    """The restore with the name ``r002``, or that id. NotFoundError if there is none."""
    found = _named(restores_of(app), name, name.removeprefix("r"))
    if found is None:
        raise NotFoundError(f"Couldn't find restore {name[:40]}.", resource="restore")
    return found


def loss(snapshot: Snapshot) -> Loss | None:
    """The data that a restore of the snapshot would discard now; None if the add-on does not respond."""
    return snapshots_for(snapshot.addon).loss(snapshot)


def server_key(addon: Addon) -> str:
    """The key of a server that is a dyno: name of its service and its volume, and beginning of its dynos' ids."""
    return f"{addon.kind}-{addon.pk.hex}"


def server_volume(addon: Addon) -> str:
    """The artefact with the data of a server that is a dyno."""
    return names.volume(addon.app_id.hex, server_key(addon))


def server_start(addon: Addon) -> int:
    """The number of the server's present start, from 1."""
    return int(addon.data.get("starts", 1))


def server_dyno(addon: Addon) -> str:
    """The engine's id of the present server."""
    return service_dynos.dyno_id(server_key(addon), server_start(addon))
