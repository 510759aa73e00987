"""Finds add-ons and attachments by the names that people give them."""

from __future__ import annotations

import uuid

from django.db.models import Q, QuerySet

from greenroom.addons import rules
from greenroom.addons.models import Addon, Attachment
from greenroom.apps.models import App


def _is(field: str, text: str) -> Q:
    try:
        return Q(id=uuid.UUID(text)) | Q(**{field: text})
    except ValueError:
        return Q(**{field: text})


def addons() -> QuerySet[Addon]:
    """All that are not going, oldest first."""
    return Addon.objects.exclude(state="deprovisioning").select_related("app").order_by("created_at")


def attachments() -> QuerySet[Attachment]:
    """All, oldest first."""
    rows = Attachment.objects.select_related("app", "addon__app").exclude(addon__state="deprovisioning")
    return rows.order_by("created_at")


def find_addons(text: str, app: App | None) -> list[Addon]:
    """The add-ons of that name or id; with an app, also those that it sees under that attachment or config var, else
    those of that service.
    """
    found = list(addons().filter(_is("name", text)))
    if app and not found:
        found = list({row.addon_id: row.addon for row in find_attachments(text, app)}.values())
    kind = rules.KIND_OF.get(text.partition(":")[0])
    if app and not found and kind:
        found = list(addons().filter(kind=kind).filter(Q(app=app) | Q(attachments__app=app)).distinct())
    return found


def find_attachments(text: str, app: App | None) -> list[Attachment]:
    """The attachments of that name, config var, id, or add-on's name; of the app, if one is given."""
    rows = attachments().filter(app=app) if app else attachments()
    name = text.upper().removesuffix("_URL") if text.upper() == text else text
    named = list(rows.filter(_is("name", name) | _is("name", text))) or list(rows.filter(Q(addon__name=text)))
    kind = rules.KIND_OF.get(text.partition(":")[0])
    return named or (list(rows.filter(addon__kind=kind)) if app and kind else [])


def owned(app: App) -> dict[str, Attachment]:
    """The config vars that belong to the app's attachments: only attaching and detaching changes them."""
    return {f"{row.name}_URL": row for row in attachments().filter(app=app)}
