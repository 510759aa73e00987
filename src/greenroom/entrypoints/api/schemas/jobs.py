"""The shapes of jobs and of their runs."""

from __future__ import annotations

from greenroom.entrypoints.api.schemas.heroku import TIMES
from greenroom.entrypoints.api.schemas.words import declare

declare(
    "job",
    "A command with a schedule. state: blocked while nothing of the app is run; note and hint explain it.",
    {
        "id": "uuid",
        "app": "#named",
        "name": "text",
        "origin": "file|user",
        "schedule": "text",
        "description": "text",
        "time_zone": "text",
        "command": "text",
        "size": "text",
        "overlap": "skip|queue|allow",
        "catch_up": "boolean",
        "minutes": "integer?",
        "state": "scheduled|blocked|paused",
        "note": "text",
        "hint": "text",
        "next_at": "moment?",
        "last_run": "#job-run?",
        "user": "#user",
        **TIMES,
    },
)
declare(
    "job-run",
    "A planned moment of a job, or several in a row that were missed or skipped: count, from planned_at to until.",
    {
        "id": "uuid",
        "app": "#named",
        "job": "#named",
        "number": "integer",
        "trigger": "schedule|catch_up|user",
        "state": "waiting|running|succeeded|failed|missed|skipped",
        "reason": "text",
        "detail": "text",
        "planned_at": "moment",
        "until": "moment",
        "count": "count",
        "command": "text",
        "release": "#version-of?",
        "dyno": "text?",
        "exit_code": "integer?",
        "user": "#user",
        "started_at": "moment?",
        "finished_at": "moment?",
        "?last_lines": "text",
        **TIMES,
    },
)
declare(
    "job.create",
    "A new job. minutes: time limit of a run; null: until the next planned moment.",
    {
        "name": "name",
        "schedule": "name",
        "command": "name",
        "?time_zone": "text?",
        "?overlap": "text?",
        "?catch_up": "boolean?",
        "?minutes": "integer?",
        "?size": "text?",
    },
)
