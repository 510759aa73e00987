"""Authenticates requests by token or password; records when a token was used and counts wrong passwords."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from django.contrib.auth.hashers import make_password
from django.db.models import Q

from greenroom.accounts.actions import rate_limits
from greenroom.accounts.models import Account, Token
from greenroom.accounts.queries import actor_of, has_been_at, return_connection
from greenroom.accounts.rules import MARK, Actor, token_digest
from greenroom.accounts.rules import address as address_of
from greenroom.basics import clock

USED_AT_STEP = timedelta(minutes=5)


def by_token(plain: str, *, address: str = "") -> Actor | None:
    """The actor of a token, or None. The lookup is by hash, which prevents timing attacks."""
    if not plain.startswith("grm_"):
        return None
    now = clock.now()
    token = (
        Token.objects.select_related("account")
        .filter(Q(expires_at=None) | Q(expires_at__gt=now), digest=token_digest(plain), revoked_at=None)
        .filter(account__is_active=True)
        .first()
    )
    if token is None:
        return None
    if token.used_at is None or now - token.used_at > USED_AT_STEP:
        Token.objects.filter(pk=token.pk).update(used_at=now)
    actor = actor_of(token.account, scopes=tuple(token.scopes), address=address, token_id=token.id)
    return replace(actor, app_id=token.app_id, checks=tuple(token.checks), mark=token.digest[:MARK])


def by_password(email: str, password: str, *, address: str = "") -> Actor | None:
    """The actor of an e-mail address and a password, or None; takes the same time for an unknown address.
    RateLimitError after many wrong passwords.
    """
    email = address_of(email)

    def known() -> bool:
        found = has_been_at(email, address)
        return_connection()
        return found

    return_connection()
    with rate_limits.attempt(email, address, known=known) as attempt:
        account = Account.objects.filter(email__iexact=email, is_active=True).first()
        attempt.wrong = True
        if account is None:
            make_password(password)
        elif account.check_password(password):
            attempt.wrong = False
            return actor_of(account, address=address)
    return None
