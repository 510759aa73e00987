"""The shapes of an app's source, of its webhook, and of findings that come from outside."""

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
declare("app-source", "The repository that an app follows. No secret is shown.", FOLLOWED)
declare(
    "app-source.told",
    "The same, with the webhook's secret where it is new: shown this once.",
    {**FOLLOWED, "secret": "text?"},
)
declare(
    "app-source.whole",
    "The same, with the newest calls and reports; the webhook is for those who may change the source.",
    {
        **FOLLOWED,
        "webhook": "#app-source.webhook?",
        "calls": "[#hook-call]",
        "reports": "[#forge-report]",
    },
)
declare(
    "app-source.webhook",
    "Where the forge calls, and how to say so there.",
    {
        "path": "text",
        "url": "text",
        "how": "text",
        "previous_secret_until": "moment?",
    },
)
declare("known-host", "A key by which the forge's host is known.", {"key": "text", "fingerprint": "text"})
declare(
    "hook-call",
    "A genuine call of the forge, and what was said to it.",
    {"delivery": "text", "event": "text", "said": "text", "at": "moment"},
)
declare(
    "forge-report",
    "What the forge was told of a commit, or is to be told.",
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
    "What to follow, and by which credentials; a credential that is left out stays.",
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
declare("app-source.accept", "Where the rewritten branch is: at least 7 digits.", {"commit": "name"})
declare("app-source.rotate", "For how many hours the secret before holds too.", {"?overlap_hours": "number"})

declare(
    "scan",
    "A check run made of a log of findings. notes: what of the log was not taken as it stood.",
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
declare("github.sarif", "That a log was taken in, in GitHub's words.", {"id": "text", "url": "text"})
declare(
    "github.sarif-state", "What became of it.", {"processing_status": "text", "analyses_url": "null", "errors": "null"}
)
declare(
    "ignore",
    "A finding that somebody lets pass until a moment.",
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
    "ignore.create", "Which finding, why, and until when.", {"fingerprint": "name", "reason": "name", "until": "name"}
)
declare(
    "gate-policy",
    "How strict the gate is; stale_after in minutes.",
    {"two_people": "boolean", "stale_after": "integer?"},
)
declare(
    "gate-policy.update", "What is to be changed.", {"?two_people": ["boolean", "null"], "?stale_after": "integer?"}
)
