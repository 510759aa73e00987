"""Reads apps, and holds the one authorisation function of Greenroom: ``authorise``."""

from __future__ import annotations

import uuid

from django.db.models import Q, QuerySet

from greenroom.accounts.rules import Actor, may_report, scope_grants
from greenroom.apps.models import App, Collaborator
from greenroom.apps.rules import PERMISSIONS, Standing, allows
from greenroom.basics.errors import ForbiddenError, NotFoundError, UnauthorizedError


def visible(actor: Actor) -> QuerySet[App]:
    """The apps that the actor may see, by name."""
    apps = App.objects.select_related("owner").order_by("name")
    if actor.app_id is not None:
        apps = apps.filter(id=actor.app_id)
    if actor.is_admin:
        return apps
    return apps.filter(Q(owner_id=actor.account_id) | Q(collaborators__account_id=actor.account_id)).distinct()


def standing(actor: Actor, app: App) -> Standing:
    """The actor's role in the app."""
    if actor.account_id is not None and app.owner_id == actor.account_id:
        return Standing(role="owner", is_admin=actor.is_admin)
    role = (
        Collaborator.objects.filter(app=app, account_id=actor.account_id).values_list("role", flat=True).first()
        if actor.account_id
        else None
    )
    return Standing(role=role or "none", is_admin=actor.is_admin)


def authorise(actor: Actor | None, name: str, permission: str, *, check: str = "") -> App:
    """The app of that name or id, if the actor may do ``permission`` with it.

    UnauthorizedError without an actor; NotFoundError when the app does not exist or is invisible to the actor (the same words
    for both); ForbiddenError when the role or the token's scope is too low. Whatever is not listed is denied. A token for one app sees
    no other; one for some checks may report no other ``check``.
    """
    if actor is None:
        raise UnauthorizedError("There were no credentials, or they do not hold.", hint='eval "$(greenroom env)"')
    app = _find(name)
    stand = standing(actor, app) if app else Standing()
    if app is None or not allows(stand, "view") or actor.app_id not in (None, app.id):
        raise NotFoundError("Couldn't find that app.", resource="app")
    if not scope_grants(actor.scopes, PERMISSIONS.get(permission, ("", "none"))[1]):
        raise ForbiddenError(
            f"The token's scope ({', '.join(actor.scopes)}) does not allow this.", hint="use a token of scope global"
        )
    if check and not may_report(actor, check):
        raise ForbiddenError(
            f"The token is for other checks: {', '.join(actor.checks)}.",
            hint=f'greenroom checks:token --context "{check[:100]}" -a {app.name}',
        )
    if not allows(stand, permission):
        role = PERMISSIONS.get(permission, ("nobody", ""))[0]
        raise ForbiddenError(
            f"You do not have access to this in {app.name}: it needs the role {role}.",
            hint=f"ask {app.owner.email} for `greenroom access:add {actor.email} --role {role} -a {app.name}`",
        )
    return app


def _find(name: str) -> App | None:
    apps = App.objects.select_related("owner")
    try:
        return apps.filter(Q(name=name) | Q(id=uuid.UUID(name))).first()
    except ValueError:
        return apps.filter(name=name).first()


def collaborator(app: App, email: str) -> Collaborator:
    """The collaborator of that e-mail or account id; NotFoundError if there is none."""
    rows = Collaborator.objects.select_related("account").filter(app=app)
    try:
        row = rows.filter(account_id=uuid.UUID(email)).first()
    except ValueError:
        row = rows.filter(account__email__iexact=email).first()
    if row is None:
        raise NotFoundError(
            f"{email[:100]} is not a collaborator of {app.name}.",
            hint=f"greenroom access -a {app.name}",
            resource="collaborator",
        )
    return row


def hostnames(app: App, suffix: str = "localhost") -> list[str]:
    """All host names at which the app answers, its own first."""
    return [f"{app.name}.{suffix}", *app.domains.order_by("hostname").values_list("hostname", flat=True)]
