"""Changes of a user's own account: name and password."""

from __future__ import annotations

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from greenroom.accounts.actions import audit, rate_limits
from greenroom.accounts.models import Account
from greenroom.accounts.queries import return_connection
from greenroom.accounts.rules import Actor
from greenroom.basics.errors import UserError

LEAST = 12
MOST = 500


@transaction.atomic
def rename(*, actor: Actor, account: Account, name: str) -> Account:
    """Change the name of the user. The e-mail address stays."""
    row = Account.objects.select_for_update(no_key=True).get(pk=account.pk)
    row.name = name.strip()[:200]
    row.save(update_fields=["name", "updated_at"])
    audit(actor=actor, action="account.rename", detail={"email": row.email})
    return row


def change_password(*, actor: Actor, account: Account, current: str, new: str) -> Account:
    """Change the password. Without an existing password, ``current`` is ignored. UserError for a wrong or too simple
    password, RateLimitError after too many attempts.
    """
    return_connection()
    with rate_limits.attempt(account.email, actor.address, known=lambda: True) as attempt:
        return _change_password(actor, account, current, new, attempt)


@transaction.atomic
def _change_password(actor: Actor, account: Account, current: str, new: str, attempt: rate_limits.Attempt) -> Account:
    row = Account.objects.select_for_update(no_key=True).get(pk=account.pk)
    attempt.wrong = row.has_usable_password()
    if attempt.wrong and not row.check_password(current):
        raise UserError(
            "The current password is incorrect.",
            hint=f"use a token instead: ask an administrator for `greenroom accounts:token {row.email}`",
        )
    attempt.wrong = False
    check_new(new, row)
    row.set_password(new)
    row.save(update_fields=["password", "updated_at"])
    audit(actor=actor, action="account.password", detail={"email": row.email})
    return row


def check_new(new: str, account: Account) -> None:
    """UserError if the text cannot be the account's password: too short, too long, or too simple."""
    if not LEAST <= len(new) <= MOST:
        raise UserError(
            f"The new password must have {LEAST} to {MOST} characters.", hint="for example, use four random words"
        )
    try:
        validate_password(new, user=account)
    except ValidationError as error:
        raise UserError(" ".join(error.messages)) from error
