"""The shapes of mail traps."""

from __future__ import annotations

from typing import Any

from greenroom.entrypoints.api.schemas.words import declare

_MAIL: dict[str, Any] = {
    "number": "integer",
    "created_at": "moment",
    "from": "text",
    "header_from": "text",
    "subject": "text",
    "type": "text",
    "size": "count",
    "recipients": "count",
    "relayed": "count",
}

declare(
    "mail",
    "A message in a mail trap. to: its first recipients; recipients: their number; relayed: how many got it.",
    {**_MAIL, "to": "[text]"},
)
declare(
    "mail-info",
    "A message with its parts. truncated: whether a part was too large to be shown.",
    {
        **_MAIL,
        "to": "[#mail.recipient]",
        "headers": "[#mail.header]",
        "text": "text?",
        "html": "text?",
        "attachments": "[#mail.attachment]",
        "truncated": "boolean",
    },
)
declare(
    "mail.recipient",
    "A recipient and what became of the message: trapped, or waiting, sent or failed at the relay.",
    {"address": "text", "state": "trapped|waiting|sent|failed", "error": "text?"},
)
declare("mail.header", "A header, decoded.", {"name": "text", "value": "text"})
declare(
    "mail.attachment",
    "An attachment. id: its Content-ID; inline: whether the HTML shows it.",
    {"number": "integer", "name": "text", "type": "text", "size": "count", "id": "text", "inline": "boolean"},
)
declare(
    "mail-content",
    "A message or an attachment. content: in base64.",
    {"name": "text", "type": "text", "size": "count", "content": "text"},
)
declare("mail-cleared", "The number of deleted messages.", {"cleared": "count"})
declare(
    "mail-trap",
    "A mail trap. count, bytes and refused (messages above the limit since its start) are null if it does not answer.",
    {
        "name": "text",
        "state": "text",
        "plan": "text",
        "answers": "boolean",
        "count": "integer?",
        "bytes": "integer?",
        "refused": "integer?",
        "limit_bytes": "count",
        "limit_count": "count",
        "limit_days": "count",
        "message_bytes": "count",
        "restarts": "count",
        "allowed": "[text]",
        "relay": "text?",
        "waiting": "count",
    },
)
declare("mail-trap.allow", "An address, or @ and a domain.", {"entry": "name"})
declare("mail-trap.relay", "smtp://USER@HOST:587 or smtps://USER@HOST:465.", {"url": "name", "?password": "text?"})
