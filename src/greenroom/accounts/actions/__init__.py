"""Creates accounts and API tokens, and writes the audit log: one entry per change, in the same transaction."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import connection, transaction
from django.db.models import Model

from greenroom.accounts.actions import access
from greenroom.accounts.models import Account, AuditEntry, Token
from greenroom.accounts.rules import FORMER, PLATFORM, SCOPES, Actor, address, chain_hash, limits_problem, token_digest
from greenroom.basics import clock, ids
from greenroom.basics.errors import ConflictError, NotFoundError, UserError
from greenroom.basics.types import AppLike

AUDIT_LOCK = 7_401


@transaction.atomic
def audit(*, actor: Actor, action: str, app: AppLike | None = None, detail: dict[str, Any] | None = None) -> AuditEntry:
    """Add an entry to the audit log, chained to the previous one. ``detail`` must not contain secret values.

    Locks the app's row first, even if the caller has already locked it: the same lock order everywhere prevents
    deadlocks between two changes of an app.
    """
    if isinstance(app, Model):
        type(app)._default_manager.select_for_update(no_key=True).filter(pk=app.pk).values_list("pk").first()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [AUDIT_LOCK])
    last = AuditEntry.objects.order_by("-id").values_list("hash", flat=True).first() or ""
    row: dict[str, Any] = {
        "at": clock.now(),
        "actor": actor.email,
        "action": action,
        "app_id": app.id if app else None,
        "app_name": app.name if app else "",
        "address": actor.address,
        "detail": detail or {},
    }
    return AuditEntry.objects.create(
        **row, account_id=actor.account_id, previous=last, hash=chain_hash(last, {**row, "at": clock.iso(row["at"])})
    )


@transaction.atomic
def create_account(
    *, actor: Actor, email: str, name: str = "", password: str | None = None, is_admin: bool = False
) -> Account:
    """Create an account; without a password it can only be used with a token. UserError for an invalid e-mail address,
    ConflictError when it is taken. The address of a deleted account gets its row again, without what it had.
    """
    try:
        validate_email(email)
    except ValidationError as error:
        raise UserError(f"{email!r} is not an e-mail address.", hint="use the form name@example.com") from error
    former = Account.objects.select_for_update(no_key=True).filter(email__iexact=address(email)).first()
    if former is not None and former.deleted_at is None:
        raise ConflictError(
            f"An account for {email} already exists.",
            hint=(
                f"add it to an app: greenroom access:add {email} -a APP; create a new token: greenroom accounts:token"
                f" {email}"
            ),
        )
    account = former or Account(email=email.lower())
    account.name, account.is_admin, account.is_active = name, is_admin, True
    account.disabled_at = account.deleted_at = None
    account.set_password(password)
    account.save()
    audit(actor=actor, action="account.create", detail={"email": account.email, "is_admin": is_admin})
    return account


@transaction.atomic
def follow_renames() -> None:
    """Rename accounts after an upgrade (``FORMER``). The old address still works for signing in. Repeatable."""
    for old, new in FORMER.items():
        account = Account.objects.select_for_update(no_key=True).filter(email=old).first()
        if account and not Account.objects.filter(email=new).exists():
            account.email = new
            account.save(update_fields=["email", "updated_at"])
            audit(actor=PLATFORM, action="account.rename", detail={"from": old, "to": new})


@transaction.atomic
def create_token(
    *,
    actor: Actor,
    account: Account,
    description: str = "",
    scopes: tuple[str, ...] = ("global",),
    seconds: int | None = None,
    app: AppLike | None = None,
    checks: tuple[str, ...] = (),
    session: bool = False,
) -> tuple[Token, str]:
    """Create an API token; returns it and its plain text, which is not stored. UserError for invalid scopes or limits.

    seconds: the lifetime; None: until revoked. session: created by a sign-in. app, checks: limit a token of the scope
    ``checks:write`` to reports of these checks of one app.
    """
    _refuse_scopes(scopes, app, checks)
    plain = ids.new_token()
    expires = clock.now() + timedelta(seconds=seconds) if seconds else None
    token = Token.objects.create(
        account=account,
        digest=token_digest(plain),
        last_four=plain[-4:],
        description=description[:200],
        scopes=list(scopes),
        expires_at=expires,
        app_id=app.id if app else None,
        checks=list(checks),
        session=session,
    )
    others = {"email": account.email} if account.pk != actor.account_id else {}
    detail = {"token": str(token.id), "scopes": list(scopes), **({"checks": list(checks)} if checks else {}), **others}
    audit(actor=actor, action="token.create", app=app, detail=detail)
    return token, plain


def _refuse_scopes(scopes: tuple[str, ...], app: AppLike | None, checks: tuple[str, ...]) -> None:
    """UserError for an unknown scope, or for limits that the scopes do not allow."""
    unknown = set(scopes) - set(SCOPES)
    if unknown or not scopes:
        raise UserError(
            f"Unknown scope: {', '.join(sorted(unknown)) or '(none)'}.", hint=f"valid scopes: {', '.join(SCOPES)}"
        )
    problem = limits_problem(scopes=scopes, app_id=app.id if app else None, checks=checks)
    if problem:
        raise UserError(f"{problem[0].upper()}{problem[1:]}.")


def create_account_with_token(*, actor: Actor, email: str, name: str, is_admin: bool) -> tuple[Account, str]:
    """Create an account and its first token; returns (account, plain text). Errors as ``create_account``."""
    account = create_account(actor=actor, email=email, name=name, is_admin=is_admin)
    _, plain = create_token(actor=actor, account=account, description="first token")
    return account, plain


def create_token_for(*, actor: Actor, email: str) -> tuple[Account, str]:
    """Create a token of scope global for another account, whose user has lost theirs; returns (account, plain text).

    The account's other tokens stay valid. NotFoundError without such an account, ConflictError when it is inactive.
    """
    account = Account.objects.filter(email__iexact=address(email), deleted_at=None).first()
    if account is None:
        raise NotFoundError(
            f"No account for {email[:100]}.",
            hint=f"greenroom accounts:create {email[:100]}",
            resource="account",
        )
    if not account.is_active:
        raise ConflictError(
            f"The account {account.email} is inactive and cannot use tokens.",
            hint=f"greenroom accounts:enable {account.email}",
        )
    _, plain = create_token(actor=actor, account=account, description=f"created by {actor.email}")
    return account, plain


@transaction.atomic
def revoke_token(*, actor: Actor, account: Account, token_id: str) -> Token:
    """Revoke a token immediately. NotFoundError if the account has no token with that id."""
    token = _locked(account, token_id)
    token.revoked_at = clock.now()
    token.save(update_fields=["revoked_at", "updated_at"])
    access.changed()
    others = {"email": account.email} if account.pk != actor.account_id else {}
    audit(actor=actor, action="token.revoke", detail={"token": str(token.id), **others})
    return token


@transaction.atomic
def describe_token(*, actor: Actor, account: Account, token_id: str, description: str) -> Token:
    """Change the description. NotFoundError if the account has no token with that id."""
    token = _locked(account, token_id)
    token.description = description[:200]
    token.save(update_fields=["description", "updated_at"])
    audit(actor=actor, action="token.describe", detail={"token": str(token.id)})
    return token


@transaction.atomic
def rotate_token(*, actor: Actor, account: Account, token_id: str) -> tuple[Token, str]:
    """Replace the plain text of a token; returns (token, new plain text). The old one is invalid immediately.
    NotFoundError if the account has no token with that id.
    """
    token = _locked(account, token_id)
    plain = ids.new_token()
    token.digest, token.last_four = token_digest(plain), plain[-4:]
    token.save(update_fields=["digest", "last_four", "updated_at"])
    access.changed()
    audit(actor=actor, action="token.rotate", detail={"token": str(token.id)})
    return token, plain


def _locked(account: Account, token_id: str) -> Token:
    token = account.tokens.select_for_update(no_key=True).filter(id=token_id, revoked_at=None).first()
    if token is None:
        raise NotFoundError("Couldn't find that authorization.", resource="authorization")
    return token
