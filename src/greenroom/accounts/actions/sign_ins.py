"""Writes sign-ins of commands: a command begins one, its person says yes on a page, and the command gets a token.

Both secrets (the page's address, the command's credential) are random and stand as hashes; a sign-in holds for ten
minutes and is used once.
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
"""Sign-ins that wait, of one network and in all."""


@transaction.atomic
def begin(*, description: str, address: str) -> tuple[SignIn, str, str]:
    """A sign-in, the secret of its page and the command's. While many of the same network wait, the oldest of them is
    over.
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
    """Strangers' sign-ins keep nobody else from signing in: the oldest of this network goes, or of the one that has
    most.
    """
    waiting = SignIn.objects.filter(used_at=None, account=None)
    place, keep = network, EACH - 1
    if waiting.count() >= OPEN:
        place, count = waiting.values_list("network").annotate(count=Count("id")).order_by("-count")[0]
        keep = count - 1
    spare = waiting.filter(network=place).order_by("-created_at").values_list("pk", flat=True)[keep:]
    SignIn.objects.filter(pk__in=list(spare)).delete()


def of_page(secret: str) -> SignIn:
    """The sign-in of a page's address that still waits. NotFoundError for all others."""
    row = SignIn.objects.filter(page=token_digest(secret), created_at__gt=clock.now() - HOLDS).first()
    if row is None or row.account_id or row.refused or row.attempts >= ATTEMPTS:
        raise NotFoundError("This sign-in is over.", hint="begin a new one with: heroku login")
    return row


@transaction.atomic
def missed(*, row: SignIn) -> None:
    """A wrong password on the page; after ten the sign-in is over."""
    found = SignIn.objects.select_for_update(no_key=True).get(pk=row.pk)
    found.attempts += 1
    found.save(update_fields=["attempts"])


@transaction.atomic
def approve(*, row: SignIn, actor: Actor) -> None:
    """Let the command in as the actor. ForbiddenError when the credential may not make tokens of scope global."""
    if "global" not in actor.scopes or actor.account_id is None:
        raise ForbiddenError(
            "A token of a narrower scope cannot sign a command in.",
            hint="use your password, or a token of scope global",
        )
    found = SignIn.objects.select_for_update(no_key=True).get(pk=row.pk)
    if found.account_id or found.refused:
        raise ConflictError("This sign-in is over.", hint="heroku login")
    found.account_id = actor.account_id
    found.save(update_fields=["account"])
    audit(actor=actor, action="session.approve", detail={"description": found.description, "address": found.address})


@transaction.atomic
def refuse(*, row: SignIn) -> None:
    """The person did not ask for it."""
    SignIn.objects.filter(pk=row.pk, account=None).update(refused=True)


@transaction.atomic
def collect(*, id: str, secret: str) -> str | None:
    """The token for the command whose person said yes, once; None while nobody has. NotFoundError for a wrong secret or
    one that is over.
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
        raise NotFoundError("There is no such sign-in.", hint="heroku login")
    if row.refused or row.attempts >= ATTEMPTS or clock.now() - row.created_at > HOLDS:
        raise ForbiddenError(
            "The sign-in was refused, or nobody answered it in time.", hint="heroku login, or: heroku login -i"
        )
    if row.account is None:
        return None
    row.used_at = clock.now()
    row.save(update_fields=["used_at"])
    actor = actor_of(row.account, address=row.address)
    return create_token(
        actor=actor, account=row.account, description=row.description, seconds=SESSION_SECONDS, session=True
    )[1]
