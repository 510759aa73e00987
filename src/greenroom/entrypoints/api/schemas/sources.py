"""The shapes of an app's source, of its webhook, and of external findings."""

from __future__ import annotations

from greenroom.entrypoints.api.schemas.heroku import TIMES
from greenroom.entrypoints.api.schemas.words import declare
from greenroom.sources import forges

FOLLOWED = {
    "id": "uuid",
    "app": "#named",
    "url": "text",
    "branch": "text",
    "kind": "|".join(forges.names()),
    "protected_branch": "text",
    "state": "text",
    "problem": "text?",
    "hint": "text?",
    "seen": "text?",
    "taken": "text?",
    "interval": "integer",
    "api": "text?",
    "credentials": {"deploy_key": "text?", "fingerprint": "text?", "token": "boolean", "username": "text?"},
    "known_hosts": "[#known-host]",
    "webhook": "#app-source.webhook",
    "waiting": "boolean",
    "looked_at": "moment?",
    "next_at": "moment?",
    "wanted_at": "moment?",
    "set_by": {"email": "text"},
    **TIMES,
}
declare("app-source", "The repository that an app follows, without secrets.", FOLLOWED)
declare(
    "app-source.told",
    "The same, with the secret of a new webhook, which is shown only once.",
    {**FOLLOWED, "secret": "text?"},
)
declare(
    "app-source.whole",
    "The same, with the newest calls and reports. Only users who may change the source see the webhook.",
    {
        **FOLLOWED,
        "webhook": "#app-source.webhook?",
        "calls": "[#hook-call]",
        "reports": "[#forge-report]",
    },
)
declare(
    "app-source.webhook",
    "The webhook URL for the forge, with instructions.",
    {
        "path": "text",
        "url": "text",
        "how": "text",
        "previous_secret_until": "moment?",
    },
)
declare("known-host", "An SSH host key of the forge.", {"key": "text", "fingerprint": "text"})
declare(
    "hook-call",
    "A verified call of the forge, and the response to it.",
    {"delivery": "text", "event": "text", "said": "text", "at": "moment"},
)
declare(
    "forge-report",
    "A commit status sent or queued for the forge.",
    {
        "kind": "text",
        "context": "text",
        "state": "text",
        "description": "text",
        "sha": "text",
        "status": "text",
        "attempts": "count",
        "code": "integer?",
        "error": "text?",
        "next_at": "moment?",
        "at": "moment",
    },
)
declare(
    "app-source.set",
    "The repository and its credentials. Omitted credentials are kept.",
    {
        "url": "name",
        "?branch": "text?",
        "?kind": "text?",
        "?token": "text?",
        "?username": "text?",
        "?deploy_key": "text?",
        "?known_hosts": "text?",
        "?interval": "integer?",
        "?api": "text?",
    },
)
declare("app-source.accept", "The commit of the rewritten branch, at least 7 digits.", {"commit": "name"})
declare(
    "app-source.rotate", "The number of hours for which the previous secret stays valid.", {"?overlap_hours": "number"}
)

declare(
    "scan",
    "A check run created from a SARIF log. notes: changes made to the log's data.",
    {
        "id": "uuid",
        "name": "text",
        "sha": "text",
        "attempt": "integer",
        "status": "queued|in_progress|completed",
        "conclusion": "text?",
        "required": "boolean",
        "title": "text",
        "summary": "text",
        "url": "text?",
        "started_at": "moment?",
        "finished_at": "moment?",
        "annotations_count": "count",
        "notes": "any",
    },
)
declare("github.sarif", "The receipt of a SARIF upload, in GitHub's format.", {"id": "text", "url": "text"})
declare(
    "github.sarif-state",
    "The state of a SARIF upload.",
    {"processing_status": "text", "analyses_url": "null", "errors": "null"},
)
declare(
    "ignore",
    "A finding that a user ignores until a given time.",
    {
        "fingerprint": "text",
        "tool": "text",
        "rule": "text",
        "path": "text",
        "reason": "text",
        "actor": "text",
        "until": "moment",
        "created_at": "moment",
        "expired": "boolean",
    },
)
declare(
    "ignore.create",
    "The finding, the reason and the end time.",
    {"fingerprint": "name", "reason": "name", "until": "name"},
)
declare(
    "gate-policy",
    "The gate policy; stale_after in minutes.",
    {"two_people": "boolean", "stale_after": "integer?"},
)
declare(
    "gate-policy.update",
    "Changes of the gate policy.",
    {"?two_people": ["boolean", "null"], "?stale_after": "integer?"},
)
