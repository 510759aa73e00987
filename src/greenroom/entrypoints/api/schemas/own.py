"""The shapes of Greenroom's own resources: deliveries, checks, migrations, rehearsals, snapshots, the audit log."""

from __future__ import annotations

from greenroom.entrypoints.api.schemas.heroku import TIMES
from greenroom.entrypoints.api.schemas.words import declare

STATES = "received|building|checking|releasing|rolling_out|live|held|refused|failed|superseded"

declare("health", "Whether the control plane answers.", {"status": "text", "version": "text", "mode": "text"})
declare("version-of", "The version of a release.", {"version": "integer"})
declare(
    "check",
    "A check run: one attempt of a check of a commit.",
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
        "?annotations_count": "count",
    },
)
declare("verdict", "The gate's verdict.", {"colour": "green|pending|red|blocked", "reasons": "[text]", "text": "text"})
declare(
    "delivery",
    "The delivery of one push, config change or rollback.",
    {
        "id": "uuid",
        "app": "#named",
        "sha": "text",
        "seq": "integer",
        "kind": "text",
        "state": STATES,
        "reason": "text",
        "verdict": "#verdict?",
        "checks": "[#check]",
        "build": "#delivery.build?",
        "release": "#version-of?",
        "migrations": {"pending": "[text]", "held": "boolean"},
        "user": {"email": "text"},
        "finished_at": "moment?",
        "hint": "text?",
        "remedy": "text?",
        "transcript_url": "text",
        **TIMES,
    },
)
declare("delivery.build", "Its build.", {"id": "uuid", "status": "text"})
declare(
    "annotation",
    "A finding of a check.",
    {
        "path": "text",
        "start_line": "integer",
        "end_line": "integer",
        "start_column": "integer?",
        "end_column": "integer?",
        "rule": "text",
        "tool": "text",
        "severity": "integer",
        "message": "text",
        "new": "boolean",
        "fingerprint": "text",
        "annotation_level": "failure|warning|notice",
        "suppressed": "any",
        "justification": "text?",
    },
)
declare("sarif", "Findings as SARIF 2.1.0.", "object")
declare("sbom", "A bill of materials, CycloneDX 1.6.", "object")
declare(
    "override",
    "A recorded decision to deploy one commit despite its checks.",
    {
        "sha": "sha",
        "checks": "[text]",
        "reason": "text",
        "actor": "text",
        "holds": "boolean",
        "created_at": "moment",
    },
)
declare(
    "migration-run",
    "A migrate command that a user ran.",
    {
        "id": "uuid",
        "actor": "text",
        "user": "#user",
        "command": "text",
        "dyno": "text",
        "exit_code": "integer?",
        "before": "any",
        "after": "any",
        "release": "#version-of",
        "snapshot": "text?",
        "seconds": "number?",
        "rehearsed_seconds": "number?",
        "health": "text?",
        "migrations": "[object]",
        "started_at": "moment",
        "finished_at": "moment?",
    },
)
declare(
    "forecast",
    "A risk of a pending migration for the current data, with a safe alternative.",
    {
        "migration": "text",
        "rule": "text",
        "text": "text",
        "recipe": "text",
        "table": "text",
        "rows": "integer?",
        "measured": "text",
        "line": "text",
    },
)
declare(
    "migrations",
    "Pending migrations, and the migrate commands that users ran.",
    {
        "release": "#version-of?",
        "status": "text",
        "pending": "[text]",
        "missing": "[text]",
        "detail": "text",
        "probed_at": "moment?",
        "framework": "text",
        "conflicts": "object",
        "unmade": "[text]",
        "lacking": "[text]",
        "command": "text",
        "warnings": "[#forecast]",
        "undo": "[text]",
        "held": "boolean",
        "runs": "[#migration-run]",
        "rehearsal": "#rehearsal?",
    },
)
declare(
    "rehearsal",
    "A run of pending migrations on a copy of the database. A single one includes its report as data and text.",
    {
        "id": "uuid",
        "number": "integer",
        "app": "#named",
        "release": "#version-of",
        "previous": "#version-of?",
        "state": "wanted|running|done|failed",
        "step": "text",
        "colour": "text?",
        "pending": "[text]",
        "summary": "text",
        "failure": "text",
        "actor": "text",
        "finished_at": "moment?",
        "?text": "text",
        "?report": "any",
        **TIMES,
    },
)
declare(
    "snapshot",
    "A dump of a database.",
    {
        "id": "uuid",
        "name": "text",
        "kind": "text",
        "state": "text",
        "reason": "text?",
        "pinned": "boolean",
        "by": "text",
        "release": "#version-of?",
        "addon": "text",
        "tables": "integer?",
        "migrations": "[text]",
        "size_bytes": "integer?",
        "database_bytes": "integer?",
        "seconds": "number?",
        "sha256": "text?",
        "failure": "text?",
        "created_at": "moment",
        "finished_at": "moment?",
        "?loss": "#loss?",
    },
)
declare(
    "loss",
    "The data that a restore would remove now.",
    {"seconds": "integer", "writes": "integer?", "migrations": "[text]", "tables": "integer"},
)
declare(
    "restore",
    "The restore of a database from a snapshot.",
    {
        "id": "uuid",
        "name": "text",
        "state": "text",
        "snapshot": "text?",
        "saved": "text?",
        "kept_database": "text?",
        "kept_until": "moment?",
        "by": "text",
        "failure": "text?",
        "swap_seconds": "number?",
        "addon": "text",
        "steps": "[#restore.step]",
        "created_at": "moment",
        "finished_at": "moment?",
    },
)
declare("restore.step", "A state change of a restore.", {"state": "text", "detail": "text", "at": "moment"})
declare(
    "pg",
    "An app's database: size, tables, connections.",
    {
        "name": "text",
        "state": "text",
        "plan": "text",
        "version": "text",
        "size_bytes": "integer",
        "tables": "integer",
        "connections": "integer",
        "connection_limit": "integer",
        "quota_bytes": "integer",
        "over_quota": "text",
        "database": "text",
        "url_host": "text",
    },
)
declare(
    "audit-entry",
    "An audit log entry.",
    {
        "id": "integer",
        "at": "moment",
        "created_at": "moment",
        "actor": "text",
        "action": "text",
        "app": "text?",
        "address": "text?",
        "detail": "object",
        "hash": "text",
    },
)
declare("audit-verification", "Whether the hash chain is intact.", {"intact": "boolean"})
declare(
    "check-token",
    "A token that may report some checks of one app.",
    {
        "id": "uuid",
        "token": "text",
        "checks": "[text]",
        "pinned": "[text]",
        "description": "text",
        "user": {"email": "email"},
        "created_at": "moment",
        "used_at": "moment?",
        "expires_at": "moment?",
    },
)
declare("pin", "Whether a check is pinned to one token.", {"check": "text", "pinned": "boolean"})
declare("document", "This document: OpenAPI 3.1.", "object")
declare(
    "build-cache",
    "The size of the build caches, in bytes.",
    {
        "app": "#named",
        "size": "count",
        "shared_size": "count",
        "total_size": "count",
        "budget": "count",
        "generation": "count",
        "purged_at": "moment?",
    },
)
declare(
    "build-vars",
    "Config vars that installers may read: those that a user listed, and patterns that are always allowed.",
    {
        "app": "#named",
        "names": "[text]",
        "always": "[text]",
    },
)
declare(
    "egress",
    "Targets that an app's dynos may reach. former_dynos: running ones from before the last change.",
    {
        "app": "#named",
        "policy": "open|closed",
        "rules": "[#egress.rule]",
        "limit": "count",
        "former_dynos": "count",
        "changed_at": "moment?",
    },
)
declare(
    "egress.rule",
    "A target. host: a name, *. and a name, an address or a network; port null: all ports.",
    {"target": "text", "host": "text", "port": "integer?"},
)
declare(
    "egress.update",
    "The policy, and targets to allow and to remove.",
    {"?policy": "open|closed", "?allow": "[text]", "?remove": "[text]"},
)
declare("build-vars.update", "Names to add to the list and to remove from it.", {"?add": "[text]", "?remove": "[text]"})
declare(
    "app-volume",
    "A volume of an app. used_bytes and files are as of measured_at.",
    {
        "id": "uuid",
        "name": "text",
        "addon": "text",
        "state": "text",
        "path": "text",
        "config_vars": "[text]",
        "size_bytes": "count",
        "used_bytes": "count",
        "files": "count",
        "level": "near|full?",
        "quota": "text",
        "measured_at": "moment?",
        **TIMES,
    },
)
declare(
    "volume-snapshot",
    "A snapshot of a volume.",
    {
        "id": "uuid",
        "name": "text",
        "kind": "text",
        "state": "wanted|running|succeeded|failed|deleting",
        "reason": "text?",
        "by": "text",
        "size_bytes": "count",
        "seconds": "number",
        "failure": "text?",
        "created_at": "moment",
        "finished_at": "moment?",
    },
)
declare(
    "volume-restore",
    "A restore of a volume. saved: the snapshot that has the replaced files.",
    {
        "id": "uuid",
        "name": "text",
        "state": "wanted|swapped|done|failed",
        "snapshot": "text?",
        "saved": "text?",
        "by": "text",
        "failure": "text?",
        "created_at": "moment",
        "finished_at": "moment?",
    },
)
