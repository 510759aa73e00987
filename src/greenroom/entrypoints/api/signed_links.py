"""Links that are credentials: signed, short-lived, and bound to the account, the token and the permission they were
asked for with.
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
"""A link holds for a minute more than it says, for clocks that differ."""
OUTPUT_SECONDS = 3600
_actor: ContextVar[Actor | None] = ContextVar("actor", default=None)


def remember(actor: Actor) -> None:
    """Bind the links of this request's answer to who sent it."""
    _actor.set(actor)


def signed(payload: dict[str, Any], *, purpose: str, app: uuid.UUID | None, permission: str, seconds: int) -> str:
    """The text of a link that holds while the caller's token does and the caller has ``permission`` in the app.

    Without an app the permission is one of accounts, see ``apps.rules.ACCOUNT_SCOPES``.
    """
    actor = _actor.get()
    token = f"{actor.token_id}.{actor.mark}" if actor and actor.token_id else ""
    who = Holder(account=str(actor.account) if actor else "", token=token, app=str(app or ""), permission=permission)
    return signing.sign({**payload, "who": asdict(who)}, key=settings.SECRET_KEY, purpose=purpose, seconds=seconds)
