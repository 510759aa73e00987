"""Disables, enables and deletes accounts, and changes who is an administrator.

Disabling revokes all tokens and notifies the processes, which end what the account has open: streams, attached dynos
and git operations. The last active administrator cannot be disabled, deleted or demoted.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import CASCADE, PROTECT, Q

from greenroom.accounts.actions import access, audit
from greenroom.accounts.models import Account, SignIn, Token
from greenroom.accounts.queries import existing
from greenroom.accounts.rules import Actor
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError

NAMED = 5
"""Apps and pipelines that the error of a deletion names."""


@transaction.atomic
def disable(*, actor: Actor, email: str) -> Account:
    """Disable an account and revoke its tokens. Its apps and roles stay. Repeatable. NotFoundError, ConflictError."""
    row = _locked(email)
    if not row.is_active:
        return row
    _refuse_last(row, "disabled")
    now = clock.now()
    row.is_active, row.disabled_at = False, now
    row.save(update_fields=["is_active", "disabled_at", "updated_at"])
    revoked = _sign_out(row)
    audit(actor=actor, action="account.disable", detail={"email": row.email, "tokens": revoked})
    return row


@transaction.atomic
def enable(*, actor: Actor, email: str) -> Account:
    """Enable a disabled account. Its password works again, its revoked tokens do not. Repeatable. NotFoundError."""
    row = _locked(email)
    if row.is_active:
        return row
    row.is_active, row.disabled_at = True, None
    row.save(update_fields=["is_active", "disabled_at", "updated_at"])
    audit(actor=actor, action="account.enable", detail={"email": row.email})
    return row


@transaction.atomic
def promote(*, actor: Actor, email: str) -> Account:
    """Make an account an administrator. Repeatable. NotFoundError, ConflictError for a disabled account."""
    row = _locked(email)
    if row.is_admin:
        return row
    if not row.is_active:
        raise ConflictError(f"{row.email} is disabled.", hint=f"greenroom accounts:enable {row.email}")
    row.is_admin = True
    row.save(update_fields=["is_admin", "updated_at"])
    audit(actor=actor, action="account.promote", detail={"email": row.email})
    return row


@transaction.atomic
def demote(*, actor: Actor, email: str) -> Account:
    """Make an administrator a user; streams of apps without a role end. Repeatable. NotFoundError, ConflictError."""
    row = _locked(email)
    if not row.is_admin:
        return row
    _refuse_last(row, "demoted")
    row.is_admin = False
    row.save(update_fields=["is_admin", "updated_at"])
    access.changed()
    audit(actor=actor, action="account.demote", detail={"email": row.email})
    return row


@transaction.atomic
def delete(*, actor: Actor, email: str) -> Account:
    """Delete an account: its password, tokens, keys and roles. The row stays for the history.

    ConflictError while it owns apps or pipelines, and for the last active administrator. NotFoundError.
    """
    row = _locked(email)
    _refuse_last(row, "deleted")
    _refuse_owner(row)
    now = clock.now()
    row.is_active, row.is_admin, row.deleted_at, row.disabled_at = False, False, now, row.disabled_at or now
    row.set_unusable_password()
    row.save(update_fields=["is_active", "is_admin", "password", "deleted_at", "disabled_at", "updated_at"])
    _sign_out(row)
    _forget_belongings(row)
    audit(actor=actor, action="account.delete", detail={"email": row.email})
    return row


@transaction.atomic
def revoke_all(*, actor: Actor, email: str) -> int:
    """Revoke all tokens of an account, sessions included; returns their number. NotFoundError."""
    row = _locked(email)
    revoked = _sign_out(row)
    audit(actor=actor, action="token.revoke_all", detail={"email": row.email, "tokens": revoked})
    return revoked


def _locked(email: str) -> Account:
    """The account behind its lock. Locks all active administrators too, in the order of their ids, so that two of them
    cannot remove each other at the same moment.
    """
    wanted = existing(email).pk
    own = Account.objects.select_for_update(no_key=True).filter(
        Q(pk=wanted) | Q(is_admin=True, is_active=True), deleted_at=None
    )
    return next((row for row in own.order_by("pk") if row.pk == wanted), None) or existing(email)


def _refuse_last(row: Account, word: str) -> None:
    """ConflictError if no other active administrator exists."""
    if not (row.is_admin and row.is_active):
        return
    if not Account.objects.filter(is_admin=True, is_active=True).exclude(pk=row.pk).exists():
        raise ConflictError(
            f"{row.email} is the last active administrator and cannot be {word}.",
            hint="make another account an administrator first: greenroom accounts:promote EMAIL",
        )


def _refuse_owner(row: Account) -> None:
    """ConflictError if a table of a higher room protects the account: it owns apps or pipelines."""
    for relation in Account._meta.related_objects:
        if relation.on_delete is not PROTECT:
            continue
        rows = relation.related_model._default_manager.filter(**{relation.field.name: row})
        names = [str(name) for name in rows.order_by("name").values_list("name", flat=True)[: NAMED + 1]]
        if names:
            shown = ", ".join(names[:NAMED]) + (" and more" if len(names) > NAMED else "")
            kind = str(relation.related_model._meta.verbose_name_plural)
            raise ConflictError(
                f"{row.email} still owns {kind}: {shown}.",
                hint=_to_give_away(kind, names[0], row.email),
            )


def _to_give_away(kind: str, name: str, email: str) -> str:
    if kind == "apps":
        return (
            f"offer each to another account: greenroom transfers:offer NEW-OWNER -a {name}; or only disable it:"
            f" greenroom accounts:disable {email}"
        )
    return f"destroy each: greenroom pipelines:destroy {name}; or only disable it: greenroom accounts:disable {email}"


def _sign_out(row: Account) -> int:
    """Revoke all tokens and drop sign-ins; returns the number of tokens that were valid."""
    now = clock.now()
    revoked = Token.objects.filter(account=row, revoked_at=None).update(revoked_at=now, updated_at=now)
    SignIn.objects.filter(account=row, used_at=None).delete()
    access.changed()
    return revoked


def _forget_belongings(row: Account) -> None:
    """Delete the rows that Django would delete with the account: its tokens, keys, roles and transfers."""
    for relation in Account._meta.related_objects:
        if relation.on_delete is CASCADE:
            relation.related_model._default_manager.filter(**{relation.field.name: row}).delete()
