"""Links that are credentials: signed, short-lived, and bound to the account, the token and the permission of their
request.
"""

from __future__ import annotations

import uuid
from contextvars import ContextVar
from dataclasses import asdict
from typing import Any

from django.conf import settings

from greenroom.accounts.rules import Actor
from greenroom.apps.rules import Holder
from greenroom.basics import signing

LOG_SECONDS = 240
"""Seconds that a link stays valid after its expiry, for clock differences."""
OUTPUT_SECONDS = 3600
_actor: ContextVar[Actor | None] = ContextVar("actor", default=None)


def remember(actor: Actor) -> None:
    """Bind the links in this request's response to its actor."""
    _actor.set(actor)


def signed(payload: dict[str, Any], *, purpose: str, app: uuid.UUID | None, permission: str, seconds: int) -> str:
    """A signed link, valid while the caller's token is valid and the caller has ``permission`` in the app.

    Without an app it is an account permission, see ``apps.rules.ACCOUNT_SCOPES``.
    """
    actor = _actor.get()
    token = f"{actor.token_id}.{actor.mark}" if actor and actor.token_id else ""
    who = Holder(account=str(actor.account) if actor else "", token=token, app=str(app or ""), permission=permission)
    return signing.sign({**payload, "who": asdict(who)}, key=settings.SECRET_KEY, purpose=purpose, seconds=seconds)
