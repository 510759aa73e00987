"""Invitations: an administrator makes a link, and the person behind it makes the account.

The secret of the link is random and stored as a hash. It can be used once, until it expires or is revoked.
"""

from __future__ import annotations

from datetime import timedelta

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from greenroom.accounts.actions import audit, create_account, create_token, profile
from greenroom.accounts.models import Account
from greenroom.accounts.queries import actor_of, by_email
from greenroom.accounts.rules import Actor, address, token_digest
from greenroom.apps import queries, rules
from greenroom.apps.actions import add_collaborator, lock_app
from greenroom.apps.models import App, Invitation
from greenroom.basics import clock, ids
from greenroom.basics.errors import ConflictError, NotFoundError, UserError

MOST = 500
"""Maximum number of pending invitations of an installation."""
KEPT = timedelta(days=90)
"""How long the row of an ended invitation stays; the audit log keeps it."""
ENDED = "This invitation has expired, was revoked or was already used."
ASK = "ask an administrator for a new one"


@transaction.atomic
def invite(
    *, actor: Actor, email: str, is_admin: bool = False, app: App | None = None, role: str = "", days: int = 7
) -> tuple[Invitation, str]:
    """Create an invitation; returns it and the secret of its link, which is not stored. Replaces a pending one for the
    same address.

    role: in ``app``, default developer. days: until it expires. UserError for an invalid value, ConflictError if the
    account exists.
    """
    if app is not None:
        app = lock_app(app.pk)
    email = _checked(email, app, role, days)
    Invitation.objects.filter(expires_at__lt=clock.now() - KEPT).delete()
    Invitation.objects.filter(email=email, accepted_at=None, revoked_at=None).update(revoked_at=clock.now())
    if queries.pending_invitations().count() >= MOST:
        raise ConflictError(
            f"Limit of pending invitations reached ({MOST}).", hint="revoke some of them: greenroom invitations"
        )
    secret = ids.new_secret()
    row = Invitation.objects.create(
        digest=token_digest(secret),
        email=email,
        is_admin=is_admin,
        app=app,
        role=(role or "developer") if app else "",
        inviter=actor.email,
        expires_at=clock.now() + timedelta(days=days),
    )
    detail = {"email": row.email, "is_admin": is_admin, "role": row.role, "days": days}
    audit(actor=actor, action="invitation.create", app=app, detail=detail)
    return row, secret


def _checked(email: str, app: App | None, role: str, days: int) -> str:
    """The normalized e-mail address. UserError, ConflictError."""
    try:
        validate_email(email.strip())
    except ValidationError as error:
        raise UserError(f"{email[:100]!r} is not an e-mail address.", hint="use the form name@example.com") from error
    problem = rules.invitation_problem(role, has_app=app is not None, days=days)
    if problem:
        raise UserError(problem)
    if by_email(email) is not None:
        raise ConflictError(
            f"An account for {address(email)} already exists.",
            hint=f"add it to an app: greenroom access:add {address(email)} -a APP",
        )
    return address(email)


@transaction.atomic
def revoke(*, actor: Actor, id: str) -> Invitation:
    """Revoke a pending invitation. NotFoundError if there is none with that id."""
    row = Invitation.objects.select_for_update(no_key=True).filter(pk=queries.pending_invitation(id).pk).get()
    if row.accepted_at or row.revoked_at:
        raise NotFoundError(ENDED, hint="greenroom invitations", resource="invitation")
    row.revoked_at = clock.now()
    row.save(update_fields=["revoked_at", "updated_at"])
    audit(actor=actor, action="invitation.revoke", app=row.app, detail={"email": row.email})
    return row


@transaction.atomic
def accept(
    *, secret: str, name: str, password: str | None, wants_token: bool = False, ip: str = ""
) -> tuple[Account, str]:
    """Make the account of an invitation and use it up; returns (account, plain text of its first token).

    password: None for an account that has only tokens. wants_token: create a token, else the text is ''. NotFoundError
    if the invitation has ended, UserError for a bad password, ConflictError if the account exists meanwhile.
    """
    found = queries.invitation_of_link(secret)
    app = lock_app(found.app_id) if found and found.app_id else None
    row = Invitation.objects.select_for_update(no_key=True).filter(pk=found.pk).first() if found else None
    if row is None or row.accepted_at or row.revoked_at:
        raise NotFoundError(ENDED, hint=ASK, resource="invitation")
    if password is None and not wants_token:
        raise UserError("Set a password, or create a token.")
    invited = Account(email=row.email, name=name)
    if password is not None:
        profile.check_new(password, invited)
    inviter = Actor(account_id=None, email=row.inviter, is_admin=True)
    account = create_account(
        actor=inviter, email=row.email, name=name.strip()[:200], password=password, is_admin=row.is_admin
    )
    if app is not None:
        add_collaborator(actor=inviter, app=app, email=row.email, role=row.role)
    row.accepted_at = clock.now()
    row.save(update_fields=["accepted_at", "updated_at"])
    actor = actor_of(account, address=ip)
    audit(actor=actor, action="invitation.accept", app=app, detail={"inviter": row.inviter})
    plain = create_token(actor=actor, account=account, description="first token")[1] if wants_token else ""
    return account, plain
