"""The shapes of other users' tokens, and of invitations."""

from __future__ import annotations

from greenroom.entrypoints.api.schemas.heroku import TIMES
from greenroom.entrypoints.api.schemas.words import declare

declare(
    "account-token",
    "A valid token of another account, without its text. session: created by a sign-in.",
    {
        "id": "uuid",
        "description": "text",
        "scope": "[text]",
        "last_four": "text",
        "session": "boolean",
        "expires_at": "moment?",
        "used_at": "moment?",
        **TIMES,
    },
)
declare("revoked", "The number of tokens that were valid until now.", {"revoked": "count"})
INVITATION = {
    "id": "uuid",
    "email": "email",
    "is_admin": "boolean",
    "app": "#named?",
    "role": "viewer|developer|operator?",
    "inviter": "text",
    "expires_at": "moment",
    **TIMES,
}
declare("invitation", "A pending invitation.", INVITATION)
declare("invitation.new", "A new invitation with its link, which is shown only once.", {**INVITATION, "url": "text"})
declare(
    "invitation.create",
    "Who to invite. role: in the app, default developer. days: until it expires, 1 to 30, default 7.",
    {"email": "email", "?is_admin": "boolean", "?app": "text?", "?role": "text?", "?days": "seconds?"},
)
