"""Browser sign-ins of the Heroku CLI: the CLI begins one, the user approves it on a page, and the CLI gets a token.

Both secrets (in the page's URL, and the CLI's credential) are random and stored as hashes. A sign-in is valid for ten
minutes and can be used once.
"""

from __future__ import annotations

import hmac
import uuid
from datetime import timedelta

from django.db import transaction
from django.db.models import Count

from greenroom.accounts.actions import audit, create_token
from greenroom.accounts.models import SignIn
from greenroom.accounts.queries import actor_of
from greenroom.accounts.rules import Actor, token_digest
from greenroom.basics import clock, ids
from greenroom.basics.errors import ConflictError, ForbiddenError, NotFoundError
from greenroom.basics.waiting_limits import neighbours

HOLDS = timedelta(minutes=10)
SESSION_SECONDS = 30 * 24 * 3600
ATTEMPTS = 10
EACH, OPEN = 100, 5_000
"""Limits of pending sign-ins: per network and in total."""


@transaction.atomic
def begin(*, description: str, address: str) -> tuple[SignIn, str, str]:
    """Create a sign-in; returns it, the secret of its page and the secret of the command. Above the limit, the oldest
    pending one of the same network is deleted.
    """
    SignIn.objects.filter(created_at__lt=clock.now() - HOLDS).delete()
    network = neighbours(address)
    _make_room(network)
    page, command = ids.new_secret(), ids.new_secret()
    text = description.strip()[:200] or "a command"
    row = SignIn.objects.create(
        page=token_digest(page), command=token_digest(command), description=text, address=address, network=network
    )
    return row, page, command


def _make_room(network: str) -> None:
    """Delete the oldest pending sign-ins of this network above its limit; at the total limit, those of the network with
    the most. So no network can block the sign-ins of others.
    """
    waiting = SignIn.objects.filter(used_at=None, account=None)
    crowded, keep = network, EACH - 1
    if waiting.count() >= OPEN:
        crowded, count = waiting.values_list("network").annotate(count=Count("id")).order_by("-count")[0]
        keep = count - 1
    spare = waiting.filter(network=crowded).order_by("-created_at").values_list("pk", flat=True)[keep:]
    SignIn.objects.filter(pk__in=list(spare)).delete()


def of_page(secret: str) -> SignIn:
    """The pending sign-in of a page secret. NotFoundError when there is none."""
    row = SignIn.objects.filter(page=token_digest(secret), created_at__gt=clock.now() - HOLDS).first()
    if row is None or row.account_id or row.refused or row.attempts >= ATTEMPTS:
        raise NotFoundError("This sign-in has expired or was already used.", hint="start a new one with: heroku login")
    return row


@transaction.atomic
def missed(*, row: SignIn) -> None:
    """Count a wrong password on the page. After ten, the sign-in is invalid."""
    found = SignIn.objects.select_for_update(no_key=True).get(pk=row.pk)
    found.attempts += 1
    found.save(update_fields=["attempts"])


@transaction.atomic
def approve(*, row: SignIn, actor: Actor) -> None:
    """Sign the command in as the actor. ForbiddenError when the credential cannot create tokens of scope global,
    ConflictError when the sign-in was already answered.
    """
    if "global" not in actor.scopes or actor.account_id is None:
        raise ForbiddenError(
            "Only a token of scope global can sign in the CLI.",
            hint="use your password, or a token of scope global",
        )
    found = SignIn.objects.select_for_update(no_key=True).get(pk=row.pk)
    if found.account_id or found.refused:
        raise ConflictError("This sign-in was already answered.", hint="heroku login")
    found.account_id = actor.account_id
    found.save(update_fields=["account"])
    audit(actor=actor, action="session.approve", detail={"description": found.description, "address": found.address})


@transaction.atomic
def refuse(*, row: SignIn) -> None:
    """Reject the sign-in: the user has not requested it."""
    SignIn.objects.filter(pk=row.pk, account=None).update(refused=True)


@transaction.atomic
def collect(*, id: str, secret: str) -> str | None:
    """The token for an approved sign-in, only once; None while it is pending. NotFoundError for a wrong secret or a
    used sign-in, ForbiddenError for a rejected or expired one.
    """
    row = (
        SignIn.objects.select_for_update(no_key=True, of=("self",))
        .select_related("account")
        .filter(pk=uuid.UUID(id))
        .first()
        if ids.is_uuid(id)
        else None
    )
    if row is None or not hmac.compare_digest(row.command, token_digest(secret)) or row.used_at:
        raise NotFoundError("Couldn't find that sign-in.", hint="heroku login")
    if row.refused or row.attempts >= ATTEMPTS or clock.now() - row.created_at > HOLDS:
        raise ForbiddenError("The sign-in was rejected or has expired.", hint="heroku login, or: heroku login -i")
    if row.account is None:
        return None
    if not row.account.is_active:
        raise ForbiddenError("The account was disabled.", hint="ask an administrator")
    row.used_at = clock.now()
    row.save(update_fields=["used_at"])
    actor = actor_of(row.account, address=row.address)
    return create_token(
        actor=actor, account=row.account, description=row.description, seconds=SESSION_SECONDS, session=True
    )[1]
