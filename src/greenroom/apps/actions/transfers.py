"""App transfers: the owner offers an app, and the recipient becomes the owner by accepting."""

from __future__ import annotations

import uuid

from django.db import transaction
from django.db.models import Q, QuerySet

from greenroom.accounts.actions import access, audit
from greenroom.accounts.models import Account
from greenroom.accounts.rules import Actor, address
from greenroom.apps.actions import lock_app, room_for_another
from greenroom.apps.models import App, AppTransfer, Collaborator
from greenroom.basics.errors import ConflictError, ForbiddenError, NotFoundError, UserError

STATES = ("accepted", "declined")


def concerning(actor: Actor) -> QuerySet[AppTransfer]:
    """The transfers sent or received by the actor, newest first."""
    rows = AppTransfer.objects.select_related("app", "owner", "recipient").order_by("-created_at")
    return rows.filter(Q(owner_id=actor.account) | Q(recipient_id=actor.account))


@transaction.atomic
def offer(*, actor: Actor, app: App, recipient: str) -> AppTransfer:
    """Offer the app to an account. NotFoundError for an unknown recipient, UserError for its owner, ConflictError while
    another transfer is pending.
    """
    app = lock_app(app.pk)
    account = Account.objects.filter(email__iexact=address(recipient), is_active=True).first()
    if account is None:
        raise NotFoundError(
            f"No account for {recipient[:100]}.",
            hint=f"greenroom accounts:create {recipient[:100]}",
            resource="account",
        )
    if account.pk == app.owner_id:
        raise UserError(f"{account.email} already owns {app.name}.")
    if app.transfers.filter(state="pending").exists():
        raise ConflictError(
            f"{app.name} already has a pending transfer.",
            hint="withdraw it: DELETE /account/app-transfers/ID",
            id="invalid_params",
        )
    row = AppTransfer.objects.create(app=app, owner=app.owner, recipient=account)
    audit(actor=actor, action="app.transfer.offer", app=app, detail={"recipient": account.email})
    return row


@transaction.atomic
def answer(*, actor: Actor, transfer: AppTransfer, state: str) -> AppTransfer:
    """Accept or decline a transfer as its recipient. After acceptance the previous owner is an operator of the app.
    UserError, ForbiddenError, ConflictError.
    """
    if state not in STATES:
        raise UserError("state must be accepted or declined.")
    row = (
        AppTransfer.objects.select_for_update(no_key=True)
        .select_related("app", "owner", "recipient")
        .get(pk=transfer.pk)
    )
    if row.recipient_id != actor.account_id:
        raise ForbiddenError("Only the recipient can answer a transfer.", hint=f"ask {row.recipient.email}")
    if row.state != "pending":
        raise ConflictError(f"The transfer was already {row.state}.", id="invalid_params")
    row.state = state
    row.save(update_fields=["state", "updated_at"])
    if state == "accepted":
        app = lock_app(row.app_id)
        app.owner = room_for_another(row.recipient)
        app.save(update_fields=["owner", "updated_at"])
        Collaborator.objects.filter(app=app, account=row.recipient).delete()
        Collaborator.objects.update_or_create(app=app, account=row.owner, defaults={"role": "operator"})
        access.changed()
    audit(
        actor=actor,
        action=f"app.transfer.{state}",
        app=row.app,
        detail={"from": row.owner.email, "to": row.recipient.email},
    )
    return row


@transaction.atomic
def withdraw(*, actor: Actor, transfer: AppTransfer) -> AppTransfer:
    """Withdraw a pending transfer as its owner. ForbiddenError, ConflictError."""
    row = (
        AppTransfer.objects.select_for_update(no_key=True)
        .select_related("app", "owner", "recipient")
        .get(pk=transfer.pk)
    )
    if row.owner_id != actor.account_id:
        raise ForbiddenError(
            "Only the sender can withdraw a transfer.", hint='as the recipient, decline it: PATCH {"state": "declined"}'
        )
    if row.state != "pending":
        raise ConflictError(f"The transfer was already {row.state}.", id="invalid_params")
    audit(actor=actor, action="app.transfer.withdraw", app=row.app, detail={"recipient": row.recipient.email})
    AppTransfer.objects.filter(pk=row.pk).delete()
    return row


def find(actor: Actor, name: str) -> AppTransfer:
    """A transfer of the actor by id, or the pending one of the app with that name. NotFoundError if there is none."""
    rows = concerning(actor)
    try:
        row = rows.filter(pk=uuid.UUID(name)).first()
    except ValueError:
        row = rows.filter(app__name=name, state="pending").first()
    if row is None:
        raise NotFoundError(
            "Couldn't find that app transfer.",
            hint="list your transfers: GET /account/app-transfers",
            resource="app_transfer",
        )
    return row
