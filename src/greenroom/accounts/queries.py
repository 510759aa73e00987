"""Reads accounts and the audit log."""

from __future__ import annotations

import uuid

from django.db import connection
from django.db.models import Q, QuerySet

from greenroom.accounts.models import Account, AuditEntry, Token
from greenroom.accounts.rules import Actor, chain_hash
from greenroom.accounts.rules import address as address_of
from greenroom.basics import clock
from greenroom.basics.errors import NotFoundError


def return_connection() -> None:
    """Return the database connection to the pool before a wait, unless in a transaction. The next query takes a new
    one.
    """
    if not connection.in_atomic_block:
        connection.close()


def has_been_at(email: str, address: str) -> bool:
    """Whether the audit log has an entry of the account from this IP address."""
    return bool(address) and AuditEntry.objects.filter(account__email__iexact=email, address=address).exists()


def actor_of(
    account: Account, *, scopes: tuple[str, ...] = ("global",), address: str = "", token_id: uuid.UUID | None = None
) -> Actor:
    """The account as an actor."""
    return Actor(
        account_id=account.id,
        email=account.email,
        is_admin=account.is_admin,
        scopes=scopes,
        address=address,
        token_id=token_id,
    )


def listed() -> QuerySet[Account]:
    """All accounts, disabled ones included, without deleted ones."""
    return Account.objects.filter(deleted_at=None)


def by_email(email: str) -> Account | None:
    """The account with that e-mail address, or None. Deleted accounts are not found."""
    return listed().filter(email__iexact=address_of(email)).first()


def existing(email: str) -> Account:
    """The account with that e-mail address. NotFoundError if there is none."""
    row = by_email(email)
    if row is None:
        raise NotFoundError(f"No account for {email[:100]}.", hint="list them: greenroom accounts", resource="account")
    return row


def valid_tokens(account: Account) -> QuerySet[Token]:
    """The account's tokens that are neither revoked nor expired, sessions included, newest first."""
    rows = Token.objects.select_related("account").filter(account=account, revoked_at=None)
    return rows.filter(Q(expires_at=None) | Q(expires_at__gt=clock.now())).order_by("-created_at")


def audit_is_intact() -> bool:
    """Whether the hash of each audit log entry matches its content and the previous entry."""
    previous = ""
    for entry in AuditEntry.objects.order_by("id").iterator():
        row = {
            "at": clock.iso(entry.at),
            "actor": entry.actor,
            "action": entry.action,
            "app_id": entry.app_id,
            "app_name": entry.app_name,
            "address": entry.address,
            "detail": entry.detail,
        }
        if entry.previous != previous or entry.hash != chain_hash(previous, row):
            return False
        previous = entry.hash
    return True
