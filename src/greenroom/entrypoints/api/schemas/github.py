"""The shapes under /api/v3. tests/api/github_shapes.py compares them with GitHub's own description."""

from __future__ import annotations

from greenroom.entrypoints.api.schemas.words import declare

declare(
    "github.status",
    "A commit status.",
    {
        "url": "text",
        "avatar_url": "text?",
        "id": "integer",
        "node_id": "text",
        "state": "error|failure|pending|success",
        "description": "text?",
        "target_url": "text?",
        "context": "text",
        "created_at": "moment",
        "updated_at": "moment",
        "?creator": "object?",
        "?required": "boolean",
    },
)
declare(
    "github.combined-status",
    "All contexts of a commit as one state.",
    {
        "state": "failure|pending|success",
        "statuses": "[#github.status]",
        "sha": "sha",
        "total_count": "count",
        "repository": "object",
        "commit_url": "text",
        "url": "text",
    },
)
declare(
    "github.output",
    "The output of a check run.",
    {
        "title": "text?",
        "summary": "text?",
        "text": "text?",
        "annotations_count": "count",
        "annotations_url": "text",
    },
)
declare(
    "github.check-run",
    "A check run.",
    {
        "id": "integer",
        "node_id": "text",
        "head_sha": "text",
        "name": "text",
        "external_id": "text?",
        "url": "text",
        "html_url": "text?",
        "details_url": "text?",
        "status": "queued|in_progress|completed",
        "conclusion": "text?",
        "started_at": "moment?",
        "completed_at": "moment?",
        "output": "#github.output",
        "check_suite": "null",
        "app": "null",
        "pull_requests": "[object]",
    },
)
declare("github.check-runs", "A page of check runs.", {"total_count": "count", "check_runs": "[#github.check-run]"})
declare(
    "github.annotation",
    "An annotation of lines in a file.",
    {
        "path": "text",
        "blob_href": "text",
        "start_line": "integer",
        "end_line": "integer",
        "start_column": "integer?",
        "end_column": "integer?",
        "title": "text?",
        "annotation_level": "failure|warning|notice",
        "message": "text?",
        "raw_details": "text?",
    },
)
