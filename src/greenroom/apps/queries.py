"""Reads apps. ``authorise`` is the only authorisation function of Greenroom."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils.crypto import salted_hmac

from greenroom.accounts.models import Account, Token
from greenroom.accounts.rules import MARK, Actor, address, may_report, narrowest, scope_grants, token_digest
from greenroom.apps.models import App, Collaborator, Domain, EgressRule, Invitation
from greenroom.apps.rules import (
    ACCOUNT_SCOPES,
    PERMISSIONS,
    ROLES,
    Holder,
    Standing,
    allows,
    proof_reason,
    zone_of,
    zones_above,
)
from greenroom.basics import clock
from greenroom.basics.errors import ForbiddenError, NotFoundError, UnauthorizedError
from greenroom.basics.ids import is_uuid
from greenroom.basics.targets import Target


def visible(actor: Actor) -> QuerySet[App]:
    """The apps that the actor may view, ordered by name."""
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
    """The app with that name or id, if the actor has ``permission`` in it. Unknown permissions are denied.

    UnauthorizedError without an actor; NotFoundError when the app does not exist, or the actor may not view it (the
    same message for both); ForbiddenError when the role or the token's scope is not sufficient. A token that is limited
    to an app has no access to others; a token that is limited to some checks cannot report another ``check``.
    """
    if actor is None:
        raise UnauthorizedError("Missing, invalid or expired credentials.", hint='eval "$(greenroom env)"')
    app = _find(name)
    stand = standing(actor, app) if app else Standing()
    if app is None or not allows(stand, "view") or actor.app_id not in (None, app.id):
        raise unknown(name)
    if not scope_grants(actor.scopes, PERMISSIONS.get(permission, ("", "none"))[1]):
        raise ForbiddenError(
            f"The token's scope ({', '.join(actor.scopes)}) does not allow this.",
            hint=f"use a token of scope {narrowest(PERMISSIONS.get(permission, ('', 'none'))[1])}",
        )
    if check and not may_report(actor, check):
        raise ForbiddenError(
            f"The token is limited to the checks {', '.join(actor.checks)}.",
            hint=f'greenroom checks:token --context "{check[:100]}" -a {app.name}',
        )
    if not allows(stand, permission):
        raise _too_low(actor, app, PERMISSIONS.get(permission, ("nobody", ""))[0])
    return app


def _too_low(actor: Actor, app: App, role: str) -> ForbiddenError:
    """The error for an actor without ``role``, with the command that grants it (for one of ROLES)."""
    text = f"You do not have access to this in {app.name}: it requires"
    if role in ROLES:
        command = f"greenroom access:add {actor.email} --role {role} -a {app.name}"
        return ForbiddenError(f"{text} the role {role}.", hint=f"ask {app.owner.email} for `{command}`")
    if role == "owner":
        return ForbiddenError(
            f"{text} the owner of the app.", hint=f"ask its owner, {app.owner.email}, or an administrator"
        )
    return ForbiddenError(f"{text} an unknown permission.")


def _find(name: str) -> App | None:
    apps = App.objects.select_related("owner")
    try:
        return apps.filter(Q(name=name) | Q(id=uuid.UUID(name))).first()
    except ValueError:
        return apps.filter(name=name).first()


def still_allowed(holders: Collection[Holder]) -> set[Holder]:
    """The holders with a valid token, an active account and a role that still has the permission. Four queries."""
    now = clock.now()
    tokens = {
        f"{row.pk}.{row.digest[:MARK]}": row
        for row in Token.objects.filter(
            Q(expires_at=None) | Q(expires_at__gt=now), pk__in=_ids(holders, "token"), revoked_at=None
        )
    }
    active = Account.objects.filter(pk__in=_ids(holders, "account"), is_active=True)
    accounts = {str(pk): is_admin for pk, is_admin in active.values_list("pk", "is_admin")}
    owners = {
        str(pk): str(owner)
        for pk, owner in App.objects.filter(pk__in=_ids(holders, "app")).values_list("pk", "owner_id")
    }
    roles = Collaborator.objects.filter(app_id__in=owners, account_id__in=accounts)
    role_of = {
        (str(app), str(account)): role for app, account, role in roles.values_list("app_id", "account_id", "role")
    }

    def holds(it: Holder) -> bool:
        token = tokens.get(it.token)
        if it.account not in accounts or (it.token and (token is None or str(token.account_id) != it.account)):
            return False
        if not it.app:
            return it.permission in ACCOUNT_SCOPES and (
                token is None or scope_grants(tuple(token.scopes), ACCOUNT_SCOPES[it.permission])
            )
        if it.app not in owners:
            return False
        if token and not scope_grants(tuple(token.scopes), PERMISSIONS.get(it.permission, ("", "none"))[1]):
            return False
        role = "owner" if owners[it.app] == it.account else role_of.get((it.app, it.account), "none")
        return allows(Standing(role=role, is_admin=accounts[it.account]), it.permission)

    return {holder for holder in holders if holds(holder)}


def _ids(holders: Collection[Holder], name: str) -> set[str]:
    found = {getattr(holder, name).partition(".")[0] for holder in holders}
    return {text for text in found if is_uuid(text)}


def collaborator(app: App, email: str) -> Collaborator:
    """The collaborator with that e-mail address or account id. NotFoundError if there is none."""
    rows = Collaborator.objects.select_related("account").filter(app=app)
    try:
        row = rows.filter(account_id=uuid.UUID(email)).first()
    except ValueError:
        row = rows.filter(account__email__iexact=address(email)).first()
    if row is None:
        raise NotFoundError(
            f"{email[:100]} is not a collaborator of {app.name}.",
            hint=f"greenroom access -a {app.name}",
            resource="collaborator",
        )
    return row


def pending_invitations() -> QuerySet[Invitation]:
    """The invitations that can still be accepted, newest first. Those of a former administrator cannot."""
    inviters = Account.objects.filter(is_active=True, is_admin=True).values("email")
    rows = Invitation.objects.select_related("app").filter(accepted_at=None, revoked_at=None, inviter__in=inviters)
    return rows.filter(expires_at__gt=clock.now()).order_by("-created_at")


def pending_invitation(id: str) -> Invitation:
    """The pending invitation with that id. NotFoundError if there is none."""
    row = pending_invitations().filter(pk=uuid.UUID(id)).first() if is_uuid(id) else None
    if row is None:
        raise NotFoundError(
            "Couldn't find that pending invitation.", hint="greenroom invitations", resource="invitation"
        )
    return row


def invitation_of_link(secret: str) -> Invitation | None:
    """The pending invitation with this secret, or None. The lookup is by hash."""
    return pending_invitations().filter(digest=token_digest(secret)).first()


def unknown(name: str) -> NotFoundError:
    """The error for an app that does not exist, or that the actor may not view."""
    return NotFoundError(f"Couldn't find that app: {name[:60]}.", hint="list your apps: heroku apps", resource="app")


def gone() -> NotFoundError:
    """The error for an app that was destroyed in the meantime."""
    return NotFoundError(
        "Couldn't find that app: it was destroyed in the meantime.",
        hint="list your apps: heroku apps",
        resource="app",
    )


def is_gone(app: App) -> bool:
    """Whether the app has been destroyed since it was read."""
    return not App.objects.filter(pk=app.pk).exists()


def web_url(app: App, installation: Mapping[str, Any], *, https: bool | None = None) -> str:
    """The URL of the app, without a default port. https if the live release redirects to it (or ``https`` is set), and
    if a public CA issues its certificate.
    """
    public = installation["certificates"] == "acme"
    scheme, usual = ("https", 443) if public or (app.https if https is None else https) else ("http", 80)
    port = int(installation[f"{scheme}_port"])
    return f"{scheme}://{app.name}.{installation['domain']}{'' if port == usual else f':{port}'}/"


def needs_proof(app: App, hostname: str) -> str:
    """Why this normalized host name requires proof of ownership; '' when it does not."""
    zone = zone_of(hostname)
    above = [zone, *zones_above(hostname)]
    related = Q(hostname__in=[*above, *(f"*.{name}" for name in above)]) | Q(hostname__endswith=f".{zone}")
    rows = Domain.objects.filter(related).exclude(app__owner_id=app.owner_id).exclude(hostname=hostname)
    return proof_reason(hostname, list(rows.values_list("hostname", flat=True)[:5]))


def proof_of(app: App, hostname: str) -> tuple[str, str]:
    """(name, text) of the TXT record that proves ownership of a domain; the same for each call."""
    digest = salted_hmac("greenroom.domains", f"{app.owner_id}/{zone_of(hostname)}", algorithm="sha256").hexdigest()[
        :40
    ]
    return f"_greenroom.{zone_of(hostname)}", f"greenroom-verify={digest}"


def default_domain(app: App) -> str:
    """The default host name of the app."""
    return f"{app.name}.{settings.INSTALLATION['domain']}"


def hostnames(app: App) -> list[str]:
    """All host names of the app, the default one first."""
    return [default_domain(app), *app.domains.order_by("hostname").values_list("hostname", flat=True)]


def egress_targets(app: App) -> list[Target]:
    """The targets of the app's egress rules, in order."""
    rows = EgressRule.objects.filter(app=app).order_by("host", "port")
    return [Target(host, port) for host, port in rows.values_list("host", "port")]


def allowed_targets(app: App) -> tuple[Target, ...] | None:
    """The targets that a dyno of the app may reach, for its DynoSpec; None under an open policy."""
    closed = App.objects.filter(pk=app.pk, egress="closed").exists()
    return tuple(egress_targets(app)) if closed else None
